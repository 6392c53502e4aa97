"""
Evaluate rules: records in, firings out. Pure, so that a back-test says what the process said.

- `evaluator`: one record after the other, and the passing of time. `state`: what is kept of runs and series.
- `rules`: rules, compiled and indexed. `points`, `columns`: conditions on points. `silence`: those that may hold
  without a record. `clock`: by which silence is measured. `facts`: what is known of a run.
"""
