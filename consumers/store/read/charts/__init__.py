"""
Charts of series: a range of points in a bounded number of buckets, exact in what it shows, at a cost that depends on
the buckets and not on the points.

- `chart`: the chart of one series. `levels`: which rows of a long series it reads; `summaries`: what these hold, and
  buckets of them; `points`: points that were read, in order, and buckets of them.
"""
