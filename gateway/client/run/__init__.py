"""
What training code calls.

- `current`: the current run of the process, and `emit`. `run`: the class `Run`. `steps`: named steps and attempts.
- `arguments`: what callers passed, checked. `artifacts`: references to files. `edits`: delete and rename. `barrier`:
  waiting for readers.
- `registry`: the runs that are open. `hooks`: what happens at fork, SIGTERM and exit.
"""
