"""
PostgreSQL's binary formats.

- `copy_format`: rows for binary COPY. `array_format`: arrays as PostgreSQL sends them, into columns. `chunks`: the
  columns of a chunk. `order`: whether a column rises or falls.
"""
