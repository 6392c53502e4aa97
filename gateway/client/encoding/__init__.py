"""
Values and columns of events as the contract writes them.
"""
