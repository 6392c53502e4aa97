"""
The `gateway` command: its own subcommands, and those that installed distributions add.
"""
