"""
The tracker `magnus`: any tracker that was written for Magnus 0.5 (entry-point group `experiment_tracker`).

- `tracker`: the adapter, and the only file that imports magnus. `translate`: events as calls of such a tracker.
"""
