"""
What forks, signals and child processes do to a client.
"""
