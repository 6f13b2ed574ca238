"""Data sets: each returns a Sample per index."""
