"""
`gateway demo`: train real models against a real stack, and compare every place with what was emitted.

- `demo`: the sequence of steps. `sweep`: four trainings at once. `training`: one of them. `report`: what is printed.
"""
