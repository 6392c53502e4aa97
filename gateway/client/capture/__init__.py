"""
Recorded in addition to what training code logs: host, code, console and system metrics.
"""
