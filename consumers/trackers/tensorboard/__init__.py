"""
The tracker `tensorboard`: one event file for each run.

- `tracker`: the class. `translate`: envelopes into records. `summaries`: protobufs. `writer`: the file.
  `read`: what a file holds. `edits`: deletes and renames.
"""
