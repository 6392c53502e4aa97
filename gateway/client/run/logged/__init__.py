"""
Logging of artifacts.

- `methods`: what `Run` has of them. `values`: values as files. `functions`: the same for the current run.
- `stored`: files for a run that is not open here.
"""
