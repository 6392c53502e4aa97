"""
What training code calls.

- `current`: the current run of the process, and `emit`. `run`: the class `Run`. `steps`: named steps and attempts.
- `identity`: which run and attempt `start_run` means, by `used_ids`: those that were used on this machine before.
  `notebook`: ends the runs of a cell that is executed again.
- `earlier`: what the earlier attempts of a continued run have recorded.
- `arguments`: what callers passed, checked. `artifacts`: references to files, `stored_artifacts`: files whose bytes are
  stored, `logged/`: the methods and functions that log them. `defined/`: what metrics mean. `edits`: delete and rename.
  `barrier`: waiting for readers.
- `registry`: the runs that are open. `starting`: calls while a run starts. `hooks`: what happens at fork, SIGTERM and
  exit.
"""
