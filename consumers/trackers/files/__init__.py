"""
What trackers that write files share.
"""
