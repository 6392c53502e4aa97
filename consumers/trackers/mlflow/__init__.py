"""The tracker `mlflow`: runs on an MLflow server, or in MLflow's own SQLite database."""
