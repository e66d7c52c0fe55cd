"""The embedded run: a PostgreSQL of our own and every step in one process, with no system package and no root."""
