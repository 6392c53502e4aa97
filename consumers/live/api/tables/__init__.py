"""
Routes for tables of runs.

- `routes` has the addresses. `table`: pages of chosen columns. `columns`: which columns and values there are.
- `filters`: whether a filter can be read. `questions`: what their bodies have in common.
"""
