"""
Routes about experiments and models.

- `models`: experiments, registered models and their versions, decisions. `logged_models`: one, its files, and a search.
"""
