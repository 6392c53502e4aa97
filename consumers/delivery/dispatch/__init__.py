"""
Call a tracker, and record the intent and the result of each call.
"""
