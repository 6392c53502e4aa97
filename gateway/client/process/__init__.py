"""
Effects of forks, signals and child processes on the client.
"""
