"""
How the processes of the embedded stack are started, watched and ended.

- `supervisor`: the process that owns every other. `services`: what there is to run, in which order.
- `child`: what happens when one dies: restarted with back-off; given up when it dies five times in a minute or says
  that restarting cannot help (exit status 78); tried again when `gateway up` is called again (SIGHUP).
- `process`, `launch`: start a child that ends with its parent. `orphans`: what a killed supervisor left. `metrics`:
  counts of all this.
"""
