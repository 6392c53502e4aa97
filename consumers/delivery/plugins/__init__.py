"""
Find, load, check and run tracker plug-ins, whatever a plug-in may do.

- `config`: the trackers file: names and configuration. `loader`: loads, opens and closes. `validation`: rejects what
  is not a tracker.
- `threads`: the threads in which plug-ins run; turns what a thread must not raise into ordinary errors.
- `watchdog`: gives up calls that do not return, with their process and before its lease ends.
- `describe`: asks a plug-in for `cannot_hold` in a process of its own.
"""
