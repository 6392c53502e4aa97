"""How processes find their run: what a run exports to child processes, attempts, ranks, and who starts and ends it."""

from __future__ import annotations

import os
from typing import Any

import pytest

import gateway
from gateway.client.process import inheritance
from gateway.client.run.run import Run
from schemas import events as ev
from tests.support.client_harness import Memory, shipping

pytestmark = pytest.mark.usefixtures("own_process")


@pytest.mark.parametrize(
    ("given", "is_owner"),
    [({}, False), ({"run_id": "env"}, False), ({"run_id": "own"}, True), ({"resume": True}, True)],
)
def test_who_starts_and_ends_a_run_that_the_process_above_has_started(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], is_owner: bool
) -> None:
    monkeypatch.setenv("GATEWAY_RUN_ID", "env")
    monkeypatch.setenv("GATEWAY_JOIN", "env")
    run = gateway.start_run(**given)

    assert (run.id, run.is_owner) == (given.get("run_id", "env"), is_owner)


def test_a_run_is_exported_while_it_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_URL", "kafka://before:1")
    names = ("GATEWAY_RUN_ID", "GATEWAY_JOIN", "GATEWAY_ATTEMPT", "GATEWAY_URL")
    seen = []
    with gateway.start_run(run_id="outer", url="none:", attempt=3):
        seen.append([os.environ.get(name) for name in names])
        with gateway.start_run(run_id="inner", url="none:"):
            seen.append([os.environ.get(name) for name in names])
        seen.append([os.environ.get(name) for name in names])
    seen.append([os.environ.get(name) for name in names])

    assert seen == [
        ["outer", "outer", "3", "none:"],
        ["inner", "inner", "1", "none:"],
        ["outer", "outer", "3", "none:"],
        [None, None, None, "kafka://before:1"],
    ]


def test_variables_that_the_program_changes_meanwhile_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_RUN_ID", "before")
    with gateway.start_run(run_id="r"):
        os.environ["GATEWAY_RUN_ID"] = "other"

    assert os.environ["GATEWAY_RUN_ID"] == "other"


@pytest.mark.parametrize(
    ("environ", "given_values", "expected"),
    [
        ({}, {}, 1),
        ({}, {"resume": True, "run_id": "r"}, 2),
        ({}, {"attempt": 7}, 7),
        ({}, {"attempt": "odd"}, 1),
        ({"GATEWAY_ATTEMPT": "5", "GATEWAY_RUN_ID": "r"}, {}, 5),
        ({"GATEWAY_ATTEMPT": "5", "GATEWAY_RUN_ID": "r", "TORCHELASTIC_RESTART_COUNT": "2"}, {}, 7),
        ({"TORCHELASTIC_RESTART_COUNT": "2", "GATEWAY_RUN_ID": "r"}, {}, 3),
        ({"TORCHELASTIC_RESTART_COUNT": "2"}, {"run_id": "r"}, 3),
        ({"SLURM_RESTART_COUNT": "3"}, {"run_id": "r"}, 4),
        ({"SLURM_RESTART_COUNT": "3"}, {"resume": True, "run_id": "r"}, 4),
        ({"SLURM_RESTART_COUNT": "3"}, {}, 1),
        ({"SLURM_RESTART_COUNT": "odd"}, {"run_id": "r"}, 1),
    ],
)
def test_the_attempt_follows_the_launcher(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], given_values: dict[str, Any], expected: int
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert gateway.start_run(**given_values).attempt == expected


@pytest.mark.parametrize(
    ("environ", "rank", "expected"),
    [
        ({"RANK": "3", "LOCAL_RANK": "1"}, None, (("rank", "3"),)),
        ({"SLURM_PROCID": "2", "LOCAL_RANK": "1"}, None, (("rank", "2"),)),
        ({"LOCAL_RANK": "1"}, None, (("rank", "1"),)),
        ({"RANK": "3"}, False, ()),
        ({"RANK": "3"}, 9, (("rank", "9"),)),
        ({"RANK": "odd"}, None, ()),
        ({}, None, ()),
    ],
)
def test_series_of_a_process_that_joined_carry_its_rank(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], rank: Any, expected: Any
) -> None:
    monkeypatch.setenv("GATEWAY_RUN_ID", "r")
    monkeypatch.setenv("GATEWAY_JOIN", "r")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    run = gateway.start_run(rank=rank)

    assert run.recorder.labels == expected


def test_a_run_that_is_started_here_has_no_rank_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")

    assert [gateway.start_run(rank=rank).recorder.labels for rank in (None, True)] == [(), (("rank", "3"),)]


def test_labels_of_a_call_are_added_to_the_rank() -> None:
    memory = Memory()
    with shipping(memory) as shipper:
        run = Run(
            "r",
            "n",
            attempt=1,
            is_owner=False,
            find_shipper=lambda: shipper,
            on_finish=lambda _: None,
            labels=(("rank", "3"),),
        )
        run.emit("a", 1.0)
        run.emit("b", 1.0, labels={"subset": "x"})
        run.emit("c", 1.0, labels={"rank": 4})
        with run.step("s"):
            run.emit("d", 1.0)
        run.finish()

    series = [one for event in memory.events() if isinstance(event, ev.Points) for one in event.series]
    assert {one.name: one.labels for one in series} == {
        "a": {"rank": "3"},
        "b": {"rank": "3", "subset": "x"},
        "c": {"rank": "4"},
        "d": {"rank": "3"},
    }


def test_a_process_that_joined_starts_a_run_of_its_own_when_it_names_a_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_RUN_ID", "above")
    monkeypatch.setenv("GATEWAY_JOIN", "above")
    joined, own = gateway.start_run(), gateway.start_run(parent="above")

    assert (joined.id, joined.is_owner, own.is_owner) == ("above", False, True)
    assert own.id != "above"


class Ending(str):
    """The id of a run; another thread ends a run, named by `ends`, at the moment in which ids are compared."""

    ends = ""

    def __eq__(self, other: object) -> bool:
        ends, self.ends = self.ends, ""
        if ends:
            inheritance.withdraw(ends)
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_a_run_ends_while_another_thread_ends_one() -> None:
    for run_id in ("first", "second", "third"):
        inheritance.export(run_id, 1, None)
    second = Ending("second")
    second.ends = "first"
    inheritance.withdraw(second)

    assert os.environ["GATEWAY_RUN_ID"] == "third"
    inheritance.withdraw("third")
    assert "GATEWAY_RUN_ID" not in os.environ


def test_a_run_of_this_process_is_no_inherited_one_while_another_thread_ends_one() -> None:
    first = Ending("first")
    for run_id in (first, "second"):
        inheritance.export(run_id, 1, None)
    first.ends = "first"

    assert inheritance.inherited_run() is None
    inheritance.withdraw("second")
