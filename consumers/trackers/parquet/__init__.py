"""
The tracker `parquet`: Arrow tables, one folder for each run.

- `tracker`: the class. `translate`: envelopes into Arrow tables. `writer`: the last part of each table grows and is
  renamed into place. `edits`: deletes and renames.
"""
