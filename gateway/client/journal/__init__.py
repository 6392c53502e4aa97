"""
The files of one producer: `emit` writes to them, and the shipper reads from them. docs/journal.md describes the
bytes.

- `journal`: appends; the only path from emit to the shipper. `entries`, `series`: what is appended. `segment`: one
  file mapped into memory.
- `allocator`: bounds, and the segment made in advance. `folder`: the folder and its lock. `ownership`: proof
  that a folder is a journal. `files`: its files. `format`: the bytes of a record.
- `cursor`: where batches were cut; `blocks`: parts of its file. `grants`: who may cut. `contents`: what a journal on
  disk holds. `readable`: what a producer needs of a journal.
- `hosts`: whether a free lock proves that the process has ended.
"""
