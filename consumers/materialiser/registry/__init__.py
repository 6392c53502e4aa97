"""
The registry: what has unique names or version numbers, which the order of the log decides. Without I/O.

- `fold`: one request, once. `experiments`, `models`, `logged_models`, `saved` (views, rules of alerts): what becomes of
  it. `verdict`: outcome and reason. `state`: the rows that a batch may need, and those that it changed.
"""
