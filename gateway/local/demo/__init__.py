"""
`gateway demo`: the whole story on real parts.

- `demo`: the order of it. `sweep`: four trainings at once. `training`: one of them. `report`: every number read back
  and compared.
"""
