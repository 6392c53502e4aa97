"""
The fold: from records to rows, without I/O; the same rows however the log is cut into batches.

- `fold`: one batch of records. `state`: what is known of runs between batches.
- `lifecycle`: statuses, in whatever order producers send. `facts`: params, tags, values and edits. An edit applies to
  what the log has before it; a name that exists stays with its owner.
- `chunks`: points into chunks of 1,000 (the first one shorter), the newest in smaller rows, at positions that depend
  on the log alone. `rows`: points of many series at the same steps, for `chunks`. `summary`: bounds of points.
  `corners`: where the first, lowest, highest and last point of a full chunk lie; `pieces`: those of its pieces.
"""
