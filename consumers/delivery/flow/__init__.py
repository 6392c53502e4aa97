"""
Pure deciders: what may go next, how fast, and after which failures.
"""
