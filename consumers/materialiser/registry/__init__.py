"""
The registry: experiments and models, whose unique names and version numbers the order of the log decides. Without I/O.

- `fold`: one request, once. `experiments`, `models`, `logged_models`: what becomes of it. `verdict`: outcome and
  reason. `state`: the rows that a batch may need, and those that it changed.
"""
