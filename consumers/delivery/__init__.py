"""
Deliver the log to trackers: one loop for all of them, in order within a run, runs in parallel.

- `service`: connects, holds the lease, and builds a delivery from its parts. One process delivers to a tracker; taking
  the lease fences earlier holders.
- `loop`: reads the log and saves offsets. `background`: tasks next to other work. `status`: the state of each tracker.
- `flow/`: pure decisions. `dispatch/`: calls. `plugins/`: plug-ins. `backfill/`: runs whose records the partition
  offsets have passed.
- `replay/` and `verify/`: the commands that use the same loop.

Before a call, the run's row records what will be delivered and the number of the attempt; after it, how far the run
is. A tracker that is away is called again. A run that it refuses is parked; the others continue.
"""
