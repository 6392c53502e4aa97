"""
`gateway experiments` and `gateway models`: read and change the registry, as gateway/experiments.py and
gateway/models.py do.

- `experiments`, `models`: the commands. `shared`: their options, completion, and how results are printed.
"""
