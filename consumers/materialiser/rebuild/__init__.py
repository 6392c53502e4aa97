"""
The tables made again from the log.
"""
