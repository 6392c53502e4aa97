"""
Decide which run is delivered next, at what rate, and when to stop calling a tracker.
"""
