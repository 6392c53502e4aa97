"""
Queries for people and trackers, each in one snapshot.

- `reader`: opens snapshots. `snapshot`: the queries inside one. `documents`: run logs;
  `branches` puts the steps of map, parallel and dag nodes inside them.
- `run_documents`: everything about runs but their points, for many runs at once.
- `series_pages`: which series of a run a page holds. `charts/`: ranges of series in buckets;
  `history`: all of them, in pages. `points`: one series of many runs, in pages or sampled; `ordered_points` sorts them.
- `contents`: what a run holds besides points, parameters and tags, and what of it is missing.
- `definitions`: what code says of metrics. `artifacts`: the artifacts of a run as a tree of folders.
"""
