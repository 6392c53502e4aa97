"""
What deliveries to trackers keep: checkpoints, orders, history and repairs.
"""
