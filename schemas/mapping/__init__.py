"""
Formats of other trackers, shared by deliveries and all other code that exchanges data with trackers.

- `names`: names as trackers accept them, reversibly. `mlflow`: statuses, reserved tags, limits and values of MLflow.
"""
