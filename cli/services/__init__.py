"""Database servers on this machine, for trying a store out and for tests: jars, processes, and those of a home."""
