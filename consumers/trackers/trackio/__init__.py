"""
The tracker `trackio`: trackio's own SQLite projects, one transaction for each call.

- `tracker`: the class. `translate`: envelopes into rows. `ids`: the id of a row names its envelope. `config`:
  what a run's config holds. `edits`: deletes and renames. `backend`: the one file that opens databases.
"""
