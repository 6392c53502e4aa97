"""
Decide which run is delivered next, at what rate, and when to stop calling a tracker. Pure: the clock comes in as a
value.

- `backlog`: what is left to deliver, a queue for each run. `circuit_breaker`: whether the tracker may be called.
- `rate_limit`: how fast. `quarantine`: when to call runs during whose call a process ended. `outages`: what to
  report, and when.
"""
