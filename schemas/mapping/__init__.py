"""
How other trackers write things: the names, values and files that doors, deliveries and importers share.
"""
