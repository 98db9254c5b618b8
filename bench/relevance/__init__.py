"""How good the lists are, as stored, beside other recommenders on the same split. docs/relevance.md has the method."""
