"""
Experiments, registered and logged models, views, rules of alerts, and decisions in PostgreSQL.

- `rows`: one class for each table. `load`: the rows that a batch of requests may need. `save`: the rows it changed.
- `read`: experiments, models and decisions for the query API; `search`: from a filter to SQL.
- `logged_models`: logged models for the query API, and their search. `saved`: views and rules for it.
"""
