"""
Out of the log: the materialiser, the store, deliveries to trackers and the live API.
"""
