"""
Registered models and their versions in the MLflow door. Webhooks are not part of it.

- `routes`: the table of routes. `models`, `versions`, `marks` (tags and aliases), `searches`: their handlers.
- `find`: one model or version. `shown`: models and versions as MLflow's objects. `sources`: what a version is made of.
"""
