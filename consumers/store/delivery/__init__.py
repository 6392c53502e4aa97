"""
What deliveries keep: `checkpoints` (how far each run is, with the plug-in's state), `orders` (what people asked for),
`history` (frozen rows of runs that the log no longer has whole) and `repairs` (runs that start over).
"""
