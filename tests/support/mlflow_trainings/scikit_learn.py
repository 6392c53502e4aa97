"""
Scikit-learn with autolog: a pipeline, a search with child runs, and a model that is registered and loaded back.

Without MLFLOW_TRAININGS_MODELS autolog stores no models: MLflow finds out what each needs in a process of its own.
"""

from __future__ import annotations

import os

import mlflow
from mlflow import MlflowClient
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def log(name: str) -> None:
    """Train all; the registered model gets this name."""
    mlflow.sklearn.autolog(max_tuning_runs=2, log_models="MLFLOW_TRAININGS_MODELS" in os.environ)
    x, y = load_iris(return_X_y=True, as_frame=True)
    with mlflow.start_run(run_name="pipeline"):
        pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(x, y)
        pipeline.score(x, y)
    with mlflow.start_run(run_name="forest"):
        RandomForestClassifier(n_estimators=5, random_state=1).fit(x, y)
    with mlflow.start_run(run_name="search"):
        GridSearchCV(LogisticRegression(), {"C": [0.1, 0.5, 1.0]}, cv=2).fit(x, y)
    mlflow.sklearn.autolog(disable=True)
    with mlflow.start_run(run_name="registered"):
        needs = {"pip_requirements": ["scikit-learn"], "registered_model_name": name}
        mlflow.sklearn.log_model(pipeline, name="model", input_example=x[:2], params={"C": 0.5}, **needs)
    client = MlflowClient()
    client.set_registered_model_alias(name, "best", "1")
    client.transition_model_version_stage(name, "1", "Production")
    for uri in (f"models:/{name}/1", f"models:/{name}@best", f"models:/{name}/Production"):
        loaded = mlflow.sklearn.load_model(uri)
        assert (loaded.predict(x) == pipeline.predict(x)).all(), uri
