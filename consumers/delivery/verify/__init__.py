"""
`gateway verify`: compare what a tracker holds with what PostgreSQL holds.

- `verify`: reads a few runs at a time from both. `read_back`: one run from one of them. `report`: what people and
  programs get.
- `compare`: pure; separates differences from what a tracker cannot hold. `equality`: when two texts are one value.
- `repair`: restarts runs that differ (`consumers/store/delivery/repairs.py`) and lets the delivery loop deliver them.
"""
