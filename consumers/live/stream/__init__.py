"""
What happens to runs now: the tail of the log, handed to whoever watches.
"""
