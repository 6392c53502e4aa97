"""
Values and columns of events, as the contract writes them, without importing the contract.

- `values`: typed values of whatever callers pass. `histogram`: counted values. `columns`: numbers as JSON, with
  orjson if it is installed, and the same bytes without it. `wire`: an event as a record.
"""
