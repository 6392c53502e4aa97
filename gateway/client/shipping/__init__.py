"""
From the journal to the log: batches, producers, the shipper, and journals that dead processes left.
"""
