"""
What is recorded beside what training says: host, code, console and system metrics.
"""
