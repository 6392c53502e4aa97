"""What MLflow's own client can do, done on a stock server and on the door by one script: both see the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import side_packages
from tests.support.dialect_stack import ROOT, DialectStack
from tests.support.mlflow_door import MlflowDoor
from tests.support.mlflow_service import MlflowServer

SCRIPT = ROOT / "tests/support/mlflow_features_script.py"
FEATURES = ("nested", "resumed", "ended", "asynchronous", "system_metrics", "searched", "experiments", "client_calls",
            "together", "files", "commands")  # fmt: skip


VARIABLES = {"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true", "TQDM_DISABLE": "1"}


@pytest.fixture(scope="module")
def seen(
    stack: DialectStack, stock: MlflowServer, door: MlflowDoor, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """What the script saw on the stock server, and on the door."""
    folder = tmp_path_factory.mktemp("features")
    return _printed(stack.python(str(SCRIPT), str(folder), stock.url, door.url, env=VARIABLES).stdout)


def _printed(output: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(output.splitlines()[-1])
    return found


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_does_what_it_does_on_a_stock_server(seen: list[dict[str, Any]], feature: str) -> None:
    stock, door = seen
    assert not isinstance(stock[feature], str), stock[feature]
    assert door[feature] == stock[feature]


def test_every_feature_is_compared(seen: list[dict[str, Any]]) -> None:
    assert set(seen[0]) == set(FEATURES)


@pytest.mark.slow
@pytest.mark.parametrize("client", ["mlflow-2.22", "mlflow-3.1"])
def test_an_older_client_does_what_it_does_on_a_stock_server(
    stack: DialectStack,
    stock: MlflowServer,
    door: MlflowDoor,
    client: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = side_packages.environment(side_packages.installed(client, tmp_path_factory))["PYTHONPATH"]
    done = stack.python(str(SCRIPT), str(tmp_path), stock.url, door.url, env={**VARIABLES, "PYTHONPATH": path})
    on_stock, on_door = _printed(done.stdout)
    assert [one for one in on_stock.values() if isinstance(one, str)] == []
    assert on_door == on_stock
