"""
`gateway dead-letters`: list, show, replay and discard.

- `commands`: the commands. `session`: queries to PostgreSQL and the log. `output`: tables and JSON.
- `format`: bytes of unknown origin as text that cannot control a terminal.
"""
