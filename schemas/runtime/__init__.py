"""
What every process of ours runs with: settings, logs, probes, a listener and request metrics.
"""
