"""
Values and columns of events, as the contract writes them, without importing the contract.

- `values`: text, names and numbers of whatever callers pass. `moments`: datetimes. `objects`: fields of objects of
  many libraries. `typed`: typed values. `histogram`: counted values.
- `columns`: numbers as JSON, with orjson if it is installed, and the same bytes without it. `wire`: an event as a
  record.
"""
