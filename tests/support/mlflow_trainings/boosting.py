"""XGBoost and LightGBM with autolog."""

from __future__ import annotations

import lightgbm
import mlflow
import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split


def log(name: str) -> None:
    """Train both; `name` is of the experiment."""
    x, y = load_breast_cancer(return_X_y=True, as_frame=True)
    x.columns = [name.replace(" ", "_") for name in x.columns]  # LightGBM warns of spaces
    x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=1)
    mlflow.xgboost.autolog()
    with mlflow.start_run(run_name="xgboost"):
        data, held_out = xgboost.DMatrix(x_train, y_train), xgboost.DMatrix(x_test, y_test)
        chosen = {"objective": "binary:logistic", "max_depth": 2, "nthread": 1, "seed": 1}
        xgboost.train(chosen, data, 8, evals=[(data, "train"), (held_out, "test")], verbose_eval=False)
    mlflow.xgboost.autolog(disable=True)
    mlflow.lightgbm.autolog()
    with mlflow.start_run(run_name="lightgbm"):
        train_set = lightgbm.Dataset(x_train, y_train)
        valid = lightgbm.Dataset(x_test, y_test, reference=train_set)
        chosen = {"objective": "binary", "num_leaves": 4, "num_threads": 1, "seed": 1, "verbose": -1}
        lightgbm.train(chosen, train_set, 8, valid_sets=[valid], valid_names=["test"])
    mlflow.lightgbm.autolog(disable=True)
