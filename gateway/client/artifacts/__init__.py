"""
Artifacts whose bytes are stored: where, how they get there, and how they come back.

- `store`: a store of bytes by their SHA-256, and its errors. `address`: which one is set, and opening it.
- `folder_store`, `http_store`, `fsspec_store`: the kinds of store, each loaded when an address names it.
"""
