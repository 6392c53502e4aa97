"""
`gateway verify`: compare what a tracker holds with what PostgreSQL holds.

- `verify`: reads a few runs at a time from both. `read_back`: one run from one of them, as `facts`. `report`: what
  people and programs get.
- `compare`: pure; separates differences from what a tracker cannot hold (`findings`). `named`: parameters, tags,
  labels, artifacts. `content`: observations and console lines. `edited`: what a tracker may still show after an edit.
  `equality`: when two texts are one value.
- `proof`: what equality alone does not prove.
- `repair`: restarts runs that differ (`consumers/store/delivery/repairs.py`) and lets the delivery loop deliver them.
"""
