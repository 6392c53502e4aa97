"""
Runs whose records partition offsets have passed: re-read them from the log, or backfill them from PostgreSQL.
"""
