"""
Runs that the log no longer has whole: their history from PostgreSQL, and records read again.
"""
