"""
Find, load, check and run tracker plug-ins, whatever their code does.

- `config`: the trackers file: names and configuration. `loader`: loads, opens and closes. `validation`: rejects what
  is not a tracker.
- `threads`: the threads in which plug-ins run; turns what a thread must not raise into ordinary errors.
- `watchdog`: gives up calls that do not return, by ending their process while it still holds the lease.
- `describe`: asks a plug-in for `cannot_hold` in a process of its own.
"""
