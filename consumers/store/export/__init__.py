"""
Reading all that an export holds, within one snapshot and with bounded memory.

- `blocks`: tables in pieces, with the type of each column. `points`: every point of runs. `runs`: a row for each
  run. `reader`: both.
"""
