"""
The `gateway` commands that need this side's code; `gateway` finds them by the entry-point group `gateway.commands`.
"""
