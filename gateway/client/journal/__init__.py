"""
A producer's own files: what `emit` writes to, and what is read from them again.
"""
