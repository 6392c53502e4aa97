"""
Places that events go to, found by the entry-point group `gateway.trackers` like a stranger's.
"""
