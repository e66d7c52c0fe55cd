"""Usage files: rows of CSV, JSON Lines and register readings as events, each row for itself."""
