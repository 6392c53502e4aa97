"""
From the journal to the log: batching, producers, the shipper, and recovery of journals that dead processes left.
"""
