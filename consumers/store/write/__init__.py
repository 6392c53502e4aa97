"""
What the fold writes, and what it loads first.
"""
