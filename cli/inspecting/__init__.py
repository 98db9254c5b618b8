"""Why an item is, or is not, where it is for one user; for `topshelf why` and `topshelf inspect`."""
