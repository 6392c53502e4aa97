"""
Routes for what a run wrote besides points.

- `routes` has the addresses. `pages`: console lines, and values that are no numbers.
"""
