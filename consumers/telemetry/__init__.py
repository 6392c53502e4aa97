"""
Metrics, health and lag of the processes that consume the log.
"""
