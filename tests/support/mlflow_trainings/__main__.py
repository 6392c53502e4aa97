"""
Run trainings against the server of MLFLOW_TRACKING_URI, and write what it holds then: `FILE EXPERIMENT TRAINING...`.
"""

from __future__ import annotations

import json
import sys
import warnings
from importlib import import_module
from pathlib import Path

import mlflow

from tests.support.mlflow_trainings.holdings import holdings


def main(file: str, experiment: str, *names: str) -> None:
    """Run them in an experiment of this name."""
    warnings.simplefilter("ignore")
    mlflow.set_experiment(experiment)
    for name in names:
        import_module(f"tests.support.mlflow_trainings.{name}").log(experiment)
    Path(file).write_text(json.dumps(holdings(experiment)))


if __name__ == "__main__":
    main(*sys.argv[1:])
