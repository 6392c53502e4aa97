"""
Artifacts of runs and of logged models: MLflow's proxy, its lists, and the routes of its pages.

Bytes are in the artifact store of the door by their digest; the log says which artifacts a run has.

- `routes`: the table. `places`: which artifact a path names. `owners`: what a run or a model has, from the query API
  and to the log. `listing`: lists. `storing`: bytes in, and removal. `sending`: bytes out.
- `refusals`: parts and signed addresses, which a store behind a proxy does not have.
"""
