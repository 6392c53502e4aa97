"""
The tracker `tensorboard`: one event file a run.

- `tracker`: the class. `translate`: envelopes into summaries. `summaries`: their bytes. `writer`: the file. `edits`:
  deletes and renames.
"""
