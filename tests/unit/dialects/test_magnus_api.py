"""The functions of Magnus on a run of the gateway: what they record, and in which named step (seeds 001 and 002)."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

import gateway
from gateway.client.run.run import Run
from gateway.dialects.magnus import (
    get_experiment_tracker_context,
    get_parameter,
    get_run_id,
    get_tag,
    set_parameter,
    track_this,
)
from gateway.dialects.magnus.pipeline import open_pipeline
from schemas import events as ev
from tests.support.client_harness import RUN, Memory


class Eggs(BaseModel):
    ham: str = Field(alias="Ham & cheese")


EGGS = Eggs(**{"Ham & cheese": "world"})


def tracked(memory: Memory) -> list[tuple[str, str, int, Any]]:
    """Return named step, name, step and value of everything in the log, by name."""
    found: list[tuple[str, str, int, Any]] = []
    for event in memory.events():
        if isinstance(event, ev.Points):
            for one in event.series:
                values = (int(value) if one.integer else value for value in one.values)
                found += [(event.step_name, one.name, *at) for at in zip(one.steps, values, strict=True)]
        if isinstance(event, ev.Values):
            found += [(event.step_name, one.name, one.step, one.value.value) for one in event.values]
    return sorted(found, key=lambda one: one[:3])


def test_values_keep_their_types_and_nesting_and_the_step_is_0(run: Run, memory: Memory) -> None:
    track_this(spam="hello", eggs=EGGS, answer=42.0, is_it_true=False, deep={"list": [EGGS]}, Count=3)
    run.finish()

    assert tracked(memory) == [
        ("main", "Count", 0, 3),
        ("main", "answer", 0, 42.0),
        ("main", "deep", 0, {"list": [{"Ham & cheese": "world"}]}),
        ("main", "eggs", 0, {"Ham & cheese": "world"}),
        ("main", "is_it_true", 0, False),
        ("main", "spam", 0, "hello"),
    ]


def test_every_value_of_a_step_is_kept_in_its_named_step(run: Run, memory: Memory) -> None:
    with run.step("Emit Metrics"):
        track_this(step=1, loss=0.5, spam="hey")
        track_this(step=1, loss=0.25)
        track_this(loss=math.inf)
    run.finish()

    assert tracked(memory) == [
        ("Emit Metrics", "loss", 0, math.inf),
        ("Emit Metrics", "loss", 1, 0.5),
        ("Emit Metrics", "loss", 1, 0.25),
        ("Emit Metrics", "spam", 1, "hey"),
    ]


@pytest.mark.parametrize("reads", ["api", "variables"])
def test_the_older_form_has_the_step_in_the_key(
    run: Run, memory: Memory, monkeypatch: pytest.MonkeyPatch, reads: str
) -> None:
    monkeypatch.setenv("GATEWAY_MAGNUS_STEPS", "suffix")
    if reads == "api":
        track_this(step=0, loss=1.0)
        track_this(step=3, loss=0.5)
    else:
        monkeypatch.setenv("MAGNUS_TRACK_loss", "1.0")
        monkeypatch.setenv("MAGNUS_TRACK_loss_STEP_3", "0.5")
    run.finish()

    assert tracked(memory) == [("main", "loss", 0, 1.0), ("main", "loss_3", 0, 0.5)]


def test_an_unknown_form_is_said_once_and_the_steps_are_nested(
    run: Run, memory: Memory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_MAGNUS_STEPS", "flat")
    track_this(step=3, loss=0.5)
    track_this(step=4, loss=0.25)
    run.finish()

    assert tracked(memory) == [("main", "loss", 3, 0.5), ("main", "loss", 4, 0.25)]
    assert capsys.readouterr().err.count("GATEWAY_MAGNUS_STEPS='flat' is neither nested nor suffix") == 1


def test_variables_are_read_and_removed_when_a_step_ends_and_when_the_run_ends(
    run: Run, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run.step("train"):
        monkeypatch.setenv("MAGNUS_TRACK_answer", "42")
        monkeypatch.setenv("MAGNUS_TRACK_spam_STEP_1", "hey")
    assert [name for name in os.environ if name.startswith("MAGNUS_TRACK_")] == []
    monkeypatch.setenv("MAGNUS_TRACK_eggs", '{"ham": "world"}')
    run.finish()
    run.finish()

    assert tracked(memory) == [
        ("main", "eggs", 0, {"ham": "world"}),
        ("train", "answer", 0, 42),
        ("train", "spam", 1, "hey"),
    ]


def test_the_tracker_context_is_a_null_context_with_the_run(run: Run) -> None:
    context = get_experiment_tracker_context()

    assert isinstance(context, contextlib.nullcontext)
    with context as inside:
        assert inside is run
    assert not run.is_finished


def test_parameters_are_those_of_the_run_and_of_child_processes(
    run: Run, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MAGNUS_PRM_rate", "MAGNUS_PRM_eggs"):
        monkeypatch.setenv(name, "")  # so that it is removed after the test
    set_parameter(rate=0.5, eggs=EGGS)
    run.finish()

    assert get_parameter("rate", float) == 0.5
    assert get_parameter("eggs", Eggs) == EGGS
    assert get_parameter() == {"rate": 0.5, "eggs": {"Ham & cheese": "world"}}
    assert dict(os.environ)["MAGNUS_PRM_eggs"] == '{"Ham & cheese": "world"}'
    with pytest.raises(KeyError, match="call set_parameter"):
        get_parameter("lr")
    (params,) = [one for one in memory.events() if isinstance(one, ev.Params)]
    assert sorted(params.params) == ["eggs", "rate"]


def test_alone_the_run_is_the_one_that_magnus_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MAGNUS_RUN_ID", "clean-ride-1048")
    monkeypatch.setenv("MAGNUS_RUN_TAG", "exp-a")
    monkeypatch.setenv("GATEWAY_RUN_ID", "")  # so that it is as before after the test
    monkeypatch.delenv("GATEWAY_RUN_ID")

    assert (get_run_id(), get_tag()) == ("clean-ride-1048", "exp-a")
    current = gateway.current_run()
    assert current is not None
    assert (current.id, current.is_owner) == ("clean-ride-1048", True)
    track_this(answer=42)
    assert gateway.finish() is not None


def test_a_run_that_is_open_comes_before_the_one_that_magnus_names(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGNUS_RUN_ID", "clean-ride-1048")

    assert get_run_id() == RUN


@pytest.mark.parametrize("is_pipeline", [False, True])
def test_settings_that_cannot_be_used_do_not_lose_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], is_pipeline: bool
) -> None:
    """As a gateway.toml that is no TOML, or a misspelt security of Kafka."""
    (tmp_path / "gateway.toml").write_text("no = = toml")
    monkeypatch.setenv("MAGNUS_RUN_ID", "m-unset")
    monkeypatch.setenv("GATEWAY_RUN_ID", "")  # so that it is as before after the test
    monkeypatch.delenv("GATEWAY_RUN_ID")
    if is_pipeline:
        open_pipeline("m-unset", "exp-a", url="", is_root=True, suffixes=False)

    track_this(answer=42)

    run = gateway.current_run()
    report = run.finish() if run else None
    assert (run and run.id, report and report.emitted) == ("m-unset", 1)
    assert "correct the file" in capfd.readouterr().err
