"""
MLflow's searches: its filters and orders, asked of the query API.

- `grammar`: the parsers of MLflow; imports mlflow. `registry_lists`: searches of experiments, models and versions.
"""
