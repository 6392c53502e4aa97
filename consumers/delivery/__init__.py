"""
One loop that brings the log to any tracker.
"""
