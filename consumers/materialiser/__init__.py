"""
The stream processor: log -> fold -> PostgreSQL, each event exactly once.
"""
