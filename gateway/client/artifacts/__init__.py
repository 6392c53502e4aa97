"""
Artifacts whose bytes are stored: where, how they get there, and how they come back.

- `store`: a store of bytes by their SHA-256, and its errors. `address`: which one is set, and opening it.
- `folder_store`, `http_store`, `fsspec_store`: the kinds of store, each loaded when an address names it.
- `uploads`: the uploads of one run. `paths`: names of artifacts, and the files of a folder. `snapshots`: keeping bytes
  until they are uploaded. `pending`: what is to be uploaded, on disk. `orphans`: the uploads of processes that ended,
  `adoption`: and a thread for them.
"""
