"""
How other trackers write things, shared by deliveries and whatever else speaks with trackers.

- `names`: names as trackers accept them, reversibly.
"""
