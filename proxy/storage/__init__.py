"""Where bytes and facts live: in memory (the reference), and on disk with SQLite beside it."""
