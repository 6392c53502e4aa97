"""
Rebuild, compare and retention of tables.
"""
