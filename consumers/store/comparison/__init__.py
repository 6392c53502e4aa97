"""
Comparisons of runs.

- `reader`: the queries. `diff`: what runs have, side by side.
- `divergence`: the first step at which two runs' series differ. `tolerance`: how two columns of points are compared.
"""
