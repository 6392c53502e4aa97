"""
Decide which run is delivered next, at what rate, and when to stop calling a tracker.

Pure, except `outages`: clock and jitter are passed in.

- `backlog`: what is left to deliver, a queue for each run. `circuit_breaker`: whether the tracker may be called.
- `rate_limit`: at what rate. `quarantine`: when to retry runs during whose call a process ended.
- `outages`: waits for services that are away, and logs that once.
"""
