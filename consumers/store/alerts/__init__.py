"""
Alerts in PostgreSQL.

- `states`: what the alerts process knows, written with its offsets in one transaction. `rules`: the rules of the
  collection. `outbox`: what is to be sent. `firings`: what the API and commands show, and mutes.
- `where`: filters of rules, decided in memory.
"""
