"""
The tracker `tensorboard`: one event file for each run.

- `tracker`: the class. `translate`: envelopes into records. `summaries`: protobufs. `writer`: the file. `edits`:
  deletes and renames.
"""
