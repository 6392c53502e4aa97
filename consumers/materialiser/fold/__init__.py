"""
From events to rows, without I/O.
"""
