"""
Who may ask the query API, and what they see.

- `needs`: the table of what each route needs. `routes`: login, logout, and who I am.
- `limited`: the stream of tokens that are limited to experiments.
"""
