"""Checks of MLflow, with its codes and words."""

from __future__ import annotations

import pytest

from gateway.server.mlflow.errors import Refused
from gateway.server.mlflow.protobuf import validate


def test_a_check_refuses_with_the_words_of_mlflow() -> None:
    validate("experiment_name", "x" * 500)
    with pytest.raises(Refused, match="'name' exceeds the maximum length of 500 characters") as caught:
        validate("experiment_name", "x" * 501)
    assert caught.value.code == "INVALID_PARAMETER_VALUE"
