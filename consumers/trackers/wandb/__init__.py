"""
The tracker `wandb`: offline run files for `wandb sync`, one for each run. `live/` is `wandb-live`.

- `tracker`: the class. `translate`: envelopes into history rows. `writer`: records of the file. `file`: its framing.
  `read`: what a file holds. `definitions`: what metrics mean, and their best values. `edits`: deletes and renames.
"""
