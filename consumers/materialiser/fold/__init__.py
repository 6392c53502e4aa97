"""
The fold: from events to rows, without I/O.
"""
