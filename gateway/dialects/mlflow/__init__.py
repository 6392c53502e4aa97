"""
Stores of MLflow over a MLflow door: `mlflow server --backend-store-uri gateway://host:port` shows MLflow's own UI.

MLflow loads them by its entry points (`mlflow.tracking_store`, `mlflow.model_registry_store`,
`mlflow.artifact_repository`) in every process that uses it, so nothing here imports more than MLflow has loaded.

- `address`: from `gateway://` to the door's URL and its token.
- `tracking`, `registry`: the stores: MLflow's own REST stores, and what those lack.
- `server_artifacts`: a server with such a store keeps no artifacts itself.
- `artifact_repository`: artifacts of a client whose tracking URI is `gateway://`.
- `unsupported`: what no store of a door can do is refused as MLflow refuses it.
"""
