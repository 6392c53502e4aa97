"""
`gateway replay`: deliver the history of runs to a tracker.

- `selection`: which runs. `plan`: what `--dry-run` counts. `replay`: runs the loop in the foreground, or orders the
  work from the process that holds the lease and watches it.
"""
