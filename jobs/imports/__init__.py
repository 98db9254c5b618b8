"""Bringing users' own data into the lake: our own layout, and every MovieLens one."""
