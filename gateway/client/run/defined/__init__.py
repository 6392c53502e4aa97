"""
What training code says of its metrics.

- `methods`: what `Run` has of it. `functions`: the same for the current run.
"""
