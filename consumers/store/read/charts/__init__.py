"""
Charts of series: a range of points in a bounded number of buckets, exact in what it shows, at a cost that depends on
the buckets and not on the points.

- `reader`: the queries. `found`: which series of which runs. `series`: charts of many series, short ones together;
  `medium`: whole series of about a hundred chunks, together, too.
- `chart`: the chart of one series. `levels`: which rows of a long series it reads; `summaries`: what these hold, and
  buckets of them; `parts`: points of a chunk; `points`: points that were read, in order, and buckets of them;
  `superseded`: points that a later attempt repeated.
- `groups`: statistics over runs.
"""
