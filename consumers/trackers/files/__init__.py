"""
What trackers that write files share.

- `append`: a file that grows, cut back to its last checkpoint after a crash. `atomic_edit`: exchanges the files of a
  run so that the process may die at any moment. `durable`: what was written is on the disk before a call returns.
"""
