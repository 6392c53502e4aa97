"""
PostgreSQL's binary forms: COPY rows, arrays, and the columns of chunks.
"""
