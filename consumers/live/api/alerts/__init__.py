"""
Alerts that fired.

- `routes`: the path and its parameters.
"""
