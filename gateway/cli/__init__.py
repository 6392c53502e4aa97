"""
The `gateway` command.
"""
