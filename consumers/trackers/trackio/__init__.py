"""The tracker trackio: its SQLite projects."""
