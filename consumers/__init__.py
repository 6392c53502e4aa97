"""
Out of the log: everything that reads events.

Layers, from the bottom: `log` (Kafka) and `trackers` (the plug-in protocol and the trackers), `store` (PostgreSQL)
and `telemetry`, `deadletters`, then `materialiser`, `delivery` and `live`, which never import each other, and `cli`
on top.
"""
