"""
Alerts that fired, rules while they are written, and mutes.

- `routes`: paths, and the list of alerts. `checks`: whether a rule can be evaluated. `mutes`: what is not sent.
"""
