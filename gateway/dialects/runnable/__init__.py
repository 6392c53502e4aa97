"""
A store for the run logs of runnable 0.50: entry point `gateway` of its group `run_log_store`.

- `store`: the class that runnable loads; the only module that imports runnable. `local_copy`: the files that answer its
  reads at once, also in other processes. `chunks`: a run log as chunks, and as labels of the run, from which it can be
  made again. `changes`: what a new state of a chunk means, as facts. `recording`: facts as events of a run.
  `read_back`: the run log of a run that has no local copy.
"""
