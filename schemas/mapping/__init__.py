"""
Formats of other trackers, shared by deliveries and all other code that exchanges data with trackers.

- `names`: names as trackers accept them, reversibly.
"""
