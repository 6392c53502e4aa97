"""
Queries for people and trackers, each in one snapshot.

- `reader`: opens snapshots. `snapshot`: the queries inside one. `documents`: run logs.
- `downsampling`: charts reduced to the first, lowest, highest and last point of each bucket.
"""
