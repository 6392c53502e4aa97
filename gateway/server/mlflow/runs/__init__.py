"""
Routes about runs.

- `history`: the points of metrics.
"""
