"""
What people and trackers read of runs: snapshots, documents, series.
"""
