"""SQLAlchemy Core tables and queries: one function per question."""
