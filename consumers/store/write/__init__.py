"""
Writes of the fold, and the rows it loads first.

- `writer`: moves the offset row first, by compare-and-set, which fences a worker that lost its partition; rows,
  chunks and dead letters follow in the same transaction. `loader`: stored rows of the runs in a batch.
- `chunk_groups`: summaries of groups of chunks, for charts.
- `series_id`: the id of a series is a hash of its present name, so a name never means two series.
- `months`, `partitions`: points are in one partition per month, that of the first event of their run, created by the
  transaction that needs it first.
"""
