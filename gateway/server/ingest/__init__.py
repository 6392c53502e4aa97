"""
POST /v1/events: bodies in, records of the log out.
"""
