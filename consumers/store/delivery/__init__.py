"""
State of deliveries: `checkpoints` (position of each run, with the plug-in's state), `orders` (what people ordered),
`history` (frozen rows of runs that the log no longer holds completely) and `repairs` (runs that start over).
"""
