"""
Artifacts of a run, read by a program that reaches the query API.

- `listing`: which there are. `sources`: where the bytes of one can be read. `landing`: writing them below a folder,
  checked, whatever names the log holds.
"""
