"""Parameters from objects of many libraries, and structures that have no end."""

from __future__ import annotations

import argparse
import collections
import types
from typing import Any

import attrs
import pytest
from omegaconf import OmegaConf
from pydantic import BaseModel, Field

from gateway.client.encoding.typed import typed
from gateway.client.guards import safe_repr
from gateway.client.run.arguments import flatten
from gateway.client.run.run import Run
from schemas import events as ev
from schemas.values import to_plain
from tests.support.any_values import HostileDict, ModelThatCannotBeDumped, Options, Pair, shared_lists
from tests.support.any_values import tree_with_parents as tree
from tests.support.client_harness import Memory, points


@attrs.define
class Optimizer:
    lr: float = 0.1
    token: str = attrs.field(default="secret", repr=False)


class Network(BaseModel):
    layers: Any = Field(default=3, alias="numLayers")


CONFIG = OmegaConf.create(
    {"model": {"layers": [64, "???"]}, "lr": 0.1, "same": "${lr}", "bad": "${nowhere}", "seed": "???"}
)
CONFIGS: list[tuple[Any, dict[str, Any]]] = [
    (argparse.Namespace(lr=0.1, sub=argparse.Namespace(a=1)), {"lr": 0.1, "sub": {"a": 1}}),
    (types.SimpleNamespace(lr=0.1), {"lr": 0.1}),
    (Options(lr=0.2, hidden="secret"), {"lr": 0.2}),
    (Optimizer(), {"lr": 0.1}),
    (Network(), {"numLayers": 3}),
    (ModelThatCannotBeDumped(lr=0.3), {"lr": 0.3}),
    (Pair(1, "b"), {"left": 1, "right": "b"}),
    (types.MappingProxyType({"lr": 0.1}), {"lr": 0.1}),
    (HostileDict(lr=0.1), {"lr": 0.1}),
    ([("lr", 0.1)], {"lr": 0.1}),
    (
        CONFIG,
        {"model": {"layers": [64, "???"]}, "lr": 0.1, "same": 0.1, "bad": "${nowhere}", "seed": "???"},
    ),
]


def shared_models() -> Any:
    inner: Any = Options(lr=0.1)
    for _ in range(40):
        inner = Network.model_construct(layers=[inner, inner])
    return inner


def shared_dicts() -> dict[str, Any]:
    inner: dict[str, Any] = {"x": 1}
    for _ in range(40):
        inner = {"left": inner, "right": inner}
    return inner


def params_of(memory: Memory) -> dict[str, Any]:
    return {
        name: to_plain(value)
        for event in memory.events()
        if isinstance(event, ev.Params)
        for name, value in event.params.items()
    }


@pytest.mark.parametrize(("given", "expected"), CONFIGS, ids=[type(given).__name__ for given, _ in CONFIGS])
def test_each_field_of_an_object_is_a_parameter(run: Run, memory: Memory, given: Any, expected: Any) -> None:
    run.log_params(given)
    run.log_params(inner=given)
    run.finish()

    assert params_of(memory) == {**expected, "inner": [["lr", 0.1]] if isinstance(given, list) else expected}


def test_what_has_no_fields_is_reported_with_what_to_give(
    run: Run, memory: Memory, capsys: pytest.CaptureFixture[str]
) -> None:
    run.log_params("lr=0.1", seed=3)
    run.finish()

    assert params_of(memory) == {"seed": 3}
    assert "dataclass" in capsys.readouterr().err
    assert run.health()["notices"]["log_params"] == 1


def test_names_that_become_equal_are_reported(run: Run, memory: Memory) -> None:
    run.log_params({1: "a", "1": "b"})
    run.finish()

    assert params_of(memory) == {"1": "b"}
    assert run.health()["notices"]["same-name"] == 1


@pytest.mark.parametrize("make", [shared_lists, shared_models, shared_dicts, tree])
def test_a_structure_without_an_end_is_read_to_a_bound(make: Any, run: Run, memory: Memory) -> None:
    endless = make()
    run.emit({"loss": 0.5, "deep": endless})
    run.emit("loss", 0.25, labels={"of": endless})
    run.log_params({"a": endless, "b": 1})
    run.finish()

    assert [one.value for one in points(memory.events()) if one.name == "loss"] == [0.5, 0.25]
    assert params_of(memory)["b"] == 1
    assert len(str(params_of(memory)["a"])) < 300_000
    assert len(safe_repr(endless)) <= 100


def test_dicts_of_shared_dicts_stay_one_value() -> None:
    given = [("loss", 0.5), ("deep", shared_dicts()), ("flat", {"a": {"b": 1}})]

    assert [name for name, _ in flatten(given)] == ["loss", "deep", "flat/a/b"]


def test_a_dict_whose_items_fail_takes_no_other_with_it() -> None:
    assert flatten([("x", HostileDict(a=1)), ("loss", 0.5)]) == [("x/a", 1), ("loss", 0.5)]


def test_a_dict_in_itself_is_named_once() -> None:
    outer: dict[str, Any] = {"a": 1}
    outer["inner"] = {"b": 2, "outer": outer}

    assert flatten([("x", outer)]) == [("x/a", 1), ("x/inner/b", 2), ("x/inner/outer", "…")]


def test_a_failing_field_takes_no_other_with_it() -> None:
    class Config(collections.UserDict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            if name == "gone":
                raise KeyError(name)
            return super().__getitem__(name)

    assert typed(Config(lr=0.1, gone=1))["value"] == {"lr": 0.1, "gone": "<KeyError>"}
