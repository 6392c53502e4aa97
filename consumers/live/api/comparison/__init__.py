"""
Routes that compare runs.

- `routes` has the addresses. `diff`: what runs have, side by side. `divergence`: where two runs part.
"""
