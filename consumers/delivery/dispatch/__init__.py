"""
What is called, when, and what is written down about it.
"""
