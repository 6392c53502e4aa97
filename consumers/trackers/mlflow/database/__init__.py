"""
MLflow's own database, without a server: SQLite on this machine, or PostgreSQL.

- `backend`: what the tracker calls. Experiments and runs are found and made by MLflow's store; points, params and tags
  are written, and points read, in bulk.
- `bulk`: the statements for that, the same for both kinds. `connection`: what they need of a kind.
- `sqlite_database`, `postgresql_database`: the two kinds. `revision`: the tables that this release knows.
"""
