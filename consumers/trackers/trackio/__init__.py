"""
The tracker `trackio`: trackio's own SQLite projects, one transaction a call.

- `tracker`: the class. `translate`: envelopes into rows. `ids`: an id says which envelope a row came from. `config`:
  what a run's config holds. `edits`: deletes and renames. `backend`: the one file that opens databases.
"""
