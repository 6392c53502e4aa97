"""
MLflow's searches: its filters and orders, asked of the query API.

- `grammar`: the parsers of MLflow; imports mlflow. `registry_lists`: searches of experiments, models and versions.
- `runs`: search of runs. `run_filter`: MLflow's comparisons of runs in the words of the query API.
- `filter_text`: names and texts in the filters of the query API.
"""
