"""
Routes for what a run wrote besides points.

- `routes` has the addresses. `pages`: console lines, and values that are no numbers.
- `deliveries`: what became of the records of a run. `tracker_pages`: addresses of runs in trackers.
"""
