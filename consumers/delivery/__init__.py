"""
Deliver the log to trackers: one loop for all of them, in order within a run, runs in parallel.

- `service`: connects and holds the lease. One process delivers to a tracker; taking the lease fences earlier holders.
- `loop`: builds the parts and runs them. `background`: its tasks. `status`: the state of each tracker, for people.
- `flow/`: pure decisions. `dispatch/`: calls. `plugins/`: plug-ins. `backfill/`: runs that the log no longer has
  whole.
- `replay/` and `verify/`: the commands on top of the same loop.

Before a call, the run's row says what will be delivered and the number of the attempt; after it, how far the run is.
A tracker that is away is tried again. A run that it refuses is parked; the others continue.
"""
