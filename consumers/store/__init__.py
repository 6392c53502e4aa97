"""
PostgreSQL: the only folder that knows asyncpg and SQL.
"""
