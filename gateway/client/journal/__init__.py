"""
The files of one producer: `emit` writes to them, and the shipper reads from them.
"""
