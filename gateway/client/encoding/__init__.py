"""
Encode values, columns and records of events as the contract defines them.
"""
