"""
Other people's tracking APIs on top of the client, and stores for MLflow's server (`mlflow`).

`shapes`: a run log in the form of Magnus or of runnable. `masking`: values of secrets in a configuration.
"""
