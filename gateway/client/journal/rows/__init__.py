"""
Rows: the points of one `emit({...})` as one record.

- `writing`: appends them. `columns`: the series of a row, and its bytes.
"""
