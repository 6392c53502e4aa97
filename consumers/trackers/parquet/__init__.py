"""
The tracker `parquet`: Arrow tables, one folder a run.

- `tracker`: the class. `translate`: envelopes into rows. `writer`: the last part of each table grows and is renamed
  into place.
- `arrow`: schemas and tables. `edits`: deletes and renames.
"""
