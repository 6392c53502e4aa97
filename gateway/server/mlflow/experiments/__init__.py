"""
Experiments of the MLflow door.

- `routes`: the table of routes. `changes`, `reads`: their handlers. `find`: one experiment as MLflow's object.
- `known`: active experiments, remembered for a moment. `default`: the experiment "0". `locations`: where artifacts are.
"""
