"""
Tables of runs.

- `reader`: the queries. `cells`: values of chosen columns of some runs. `listing`: which columns runs have, and which
  values these have.
"""
