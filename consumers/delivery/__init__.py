"""
Deliver the log to trackers: one loop for all of them.
"""
