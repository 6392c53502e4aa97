"""
Logged models of MLflow 3, which are a collection of the registry, and what runs say about them.

- `routes`: one model: created, read, finalized, deleted, its params and tags. `search`: many of them.
- `artifacts`: its files, kept and listed. `points`: its metrics. `models`: one, read by other parts of the door.
- `links`: datasets and models that went into a run or came out of it. `model_json`: a model as MLflow's object.
"""
