"""
The node agent: one process that ships the journals of all processes of a host.

In a training process: `mode` reads GATEWAY_AGENT. `follower` takes the place of a shipper; `followed` is one of its
journals; `link` finds the agent, checks and watches it, and has `starting` start one.

In the agent: `running` makes a process one; `server` is what it does; `live_journal` and `live_segment` read journals
that others write; `orphans` ships those of the dead. `stopping` ends agents from outside.

Both: `place` is the folder in which they meet, `wakeups` the messages. docs/journal.md describes who may cut a journal.
"""
