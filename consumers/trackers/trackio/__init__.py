"""trackio: its SQLite projects."""
