"""
`gateway experiments`, `gateway models` and `gateway views`: read and change the registry, the first two as
gateway/experiments.py and gateway/models.py do.

- `experiments`, `models`, `views`: the commands. `shared`: their options, completion, and how results are printed.
"""
