"""
The contract: what an event is, how it looks on the wire, and the documents people read.

gateway/ writes it, consumers/ reads it, and they meet nowhere else.
"""
