"""Nothing raises into training, and runs find their parents, children, ranks and attempts."""

from __future__ import annotations

import asyncio
import math
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gateway
from gateway.client import notices
from gateway.client.encoding import values
from gateway.client.process import inheritance
from gateway.client.run import registry
from gateway.client.run.run import Run
from schemas import events as ev
from tests.support.client_harness import Memory, new_run, points, shipping, train

LAUNCHERS = (
    *inheritance.RANKS,
    "TORCHELASTIC_RESTART_COUNT",
    "SLURM_RESTART_COUNT",
    "GATEWAY_ATTEMPT",
    "GATEWAY_RUN_ID",
)


@pytest.fixture(autouse=True)
def own_process_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GATEWAY_HOME", str(tmp_path))
    monkeypatch.setenv("GATEWAY_URL", "none:")
    monkeypatch.setenv("GATEWAY_CAPTURE", "none")
    monkeypatch.chdir(tmp_path)
    notices.reset()
    yield
    while gateway.current_run() is not None:
        gateway.finish()
    registry.stop_shippers()
    notices.reset()


class Hostile:
    """Every way to look at it raises."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError("repr")

    def __str__(self) -> str:
        raise RuntimeError("str")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("eq")

    def __hash__(self) -> int:
        raise RuntimeError("hash")

    def __bool__(self) -> bool:
        raise RuntimeError("bool")

    def __len__(self) -> int:
        raise RuntimeError("len")

    def __iter__(self) -> Any:
        raise RuntimeError("iter")


class Unreadable(dict[str, Any]):
    """A dict that fails while it is read."""

    def items(self) -> Any:
        raise RuntimeError("items")

    def keys(self) -> Any:
        raise RuntimeError("keys")

    def __iter__(self) -> Any:
        raise RuntimeError("iter")


class Endless:
    """Its repr() never ends."""

    def __repr__(self) -> str:
        return repr(self)


ODD: Any = st.recursive(
    st.sampled_from(["hostile", "unreadable", "endless", "class"])
    | st.none()
    | st.floats()
    | st.integers()
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def meant(value: Any) -> Any:
    """Put the odd objects where a generated value names them; hypothesis itself could not hold them."""
    if isinstance(value, list):
        return [meant(item) for item in value]
    if isinstance(value, dict):
        return {name: meant(item) for name, item in value.items()}
    if not isinstance(value, str):
        return value
    odd: dict[str, Any] = {"hostile": Hostile(), "unreadable": Unreadable(a=1), "endless": Endless(), "class": Hostile}
    return odd.get(value, value)


METHODS = {
    "emit": 2, "log_params": 1, "set_tags": 1, "set_labels": 1, "note": 1, "artifact": 4, "log_artifact": 2, "text": 3,
}  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(calls=st.lists(st.tuples(st.sampled_from(sorted(METHODS)), st.lists(ODD, min_size=4, max_size=4)), max_size=6))
def test_no_method_raises_whatever_it_is_given(calls: list[tuple[str, list[Any]]]) -> None:
    memory = Memory()
    with shipping(memory) as shipper:
        run = new_run(shipper)
        for name, given_values in calls:
            getattr(run, name)(*map(meant, given_values[: METHODS[name]]))
        with run.step("s"):
            run.emit("last", 1.0)
        report = run.finish()

    assert [seen.name for seen in points(memory.events())][-1] == "last"
    assert memory.kinds()[-2:] == ["run_finished", "producer_closed"]
    assert report.unsent == 0


@pytest.mark.parametrize("name", [*METHODS, "health", "finish", "flush", "step"])
def test_every_method_may_be_called_after_the_end(name: str) -> None:
    run = gateway.start_run()
    run.finish()
    getattr(run, name)(
        *{"emit": ("x", 1.0), "artifact": ("m", "s3://m"), "text": ("t", "x")}.get(name, ("x",))[
            : 2 if name in METHODS else name == "step"
        ]
    )

    assert run.finish().unsent == run.health()["unsent"]


def test_emit_at_the_end_of_the_stack_does_not_raise() -> None:
    run = gateway.start_run()

    def dive(depth: int) -> int:
        try:
            return dive(depth + 1)
        except RecursionError:
            for room in range(1, 40):  # with ever more room, so that each line of emit is where it ends once
                climb(room)
            return depth

    def climb(room: int) -> None:
        sys.setrecursionlimit(limit + room)
        try:
            run.emit("x", [object()])
        except RecursionError:
            assert room < 4  # not even the call itself had room

    limit = sys.getrecursionlimit()
    try:
        dive(0)
    finally:
        sys.setrecursionlimit(limit)

    assert run.health()["emitted"] > 0


def test_what_ends_the_program_passes_through_emit() -> None:
    class Stop:
        def item(self) -> float:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gateway.start_run().emit("x", Stop())


def test_a_clock_before_1970_is_recorded_as_1970(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory()
    monkeypatch.setattr(values, "time_ns", lambda: -5_000_000)
    with shipping(memory) as shipper:
        run = new_run(shipper)
        run.note("x")
        run.emit("t", "x")
        run.finish()

    assert {event.time for event in memory.events() if not isinstance(event, ev.Metrics)} == {0}


@pytest.mark.parametrize(
    ("clock_ns", "seen_us"),
    [
        (-1, 0),
        (-(10**18), 0),
        (-(2**63) - 1, 0),
        (2**63, 2**63 // 1_000),  # the year 2262
        (2**64, (2**64 - 1) // 1_000),  # the year 2554
        (2**80, (2**64 - 1) // 1_000),
    ],
)
def test_whatever_the_clock_says_every_point_is_in_the_log_as_the_contract_has_it(clock_ns: int, seen_us: int) -> None:
    found = train(
        f"""
        import time
        time.time_ns = lambda: {clock_ns}
        import gateway
        from gateway.client.run import registry
        from tests.support.client_harness import Memory, points, shipping, values
        memory = Memory()
        with shipping(memory) as shipper:
            registry.shipper_for = lambda address: shipper
            with gateway.start_run(capture=False) as run:
                for step in range(2_000):
                    run.emit("loss", 0.5, step)
                    run.emit({{"a": 1.5, "b": 2}}, step=step)
                run.emit("text", "x", 0)
                run.note("a note")
                run.flush(20)
                print(run.health()["sent"])
        found = points(memory.events())
        print(len(found), sorted({{seen.time for seen in found}})[0], sorted({{seen.time for seen in found}})[-1])
        print(memory.kinds()[0], memory.kinds()[-1], len(values(memory.events())), run.report.dropped)
        """,
        {"GATEWAY_URL": "none:"},
    )

    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines() == ["6001", f"6000 {seen_us} {seen_us}", "run_started producer_closed 1 0"]
    assert "Traceback" not in found.stderr
    assert len(found.stderr.splitlines()) <= 1  # that the clock is odd, once


@pytest.mark.parametrize("seconds", [math.inf, math.nan, -1, "soon", 10**400, None])
def test_whatever_the_end_is_given_to_wait_it_does_not_raise(tmp_path: Path, seconds: Any) -> None:
    memory = Memory()
    with shipping(memory) as shipper:
        run = new_run(shipper)
        run.emit("loss", 0.5)
        run.log_artifact(tmp_path)  # looked at beside training, which the end waits for
        run.flush(seconds)
        run.finish(timeout_s=seconds)
        assert run.finish(timeout_s=20).unsent == 0


# Runs inside runs.


def opened(run: Run) -> dict[str, str]:
    return {"group": run.group, "outer": run.outer.id if run.outer else ""}


def test_a_run_inside_a_run_is_its_child_in_its_group() -> None:
    with (
        gateway.start_run("outer", group="g"),
        gateway.start_run("inner") as inner,
        gateway.start_run(group="h") as own,
    ):
        found = [opened(inner), opened(own)]

    assert found == [{"group": "g", "outer": "outer"}, {"group": "h", "outer": "inner"}]


def test_runs_may_finish_in_any_order() -> None:
    first, second, third = (gateway.start_run(name) for name in ("1", "2", "3"))
    found = []
    for run in (second, third, first):
        run.finish()
        found.append(gateway.current_run())

    assert found == [third, first, None]
    assert "GATEWAY_RUN_ID" not in os.environ


def test_a_thread_without_a_run_records_into_the_newest_of_the_main_thread() -> None:
    found: list[Run | None] = []
    both = threading.Barrier(2)

    def own() -> None:
        with gateway.start_run("of-thread"):
            both.wait()
            found.append(gateway.current_run())
            both.wait()

    with gateway.start_run("outer"), gateway.start_run("inner"):
        thread = threading.Thread(target=own)
        thread.start()
        both.wait()
        other = threading.Thread(target=lambda: found.append(gateway.current_run()))
        other.start()
        other.join()
        found.append(gateway.current_run())
        both.wait()
        thread.join()

    assert sorted(run.id for run in found if run) == ["inner", "inner", "of-thread"]


async def test_tasks_side_by_side_keep_their_runs() -> None:
    both = asyncio.Barrier(2)

    async def trial(name: str) -> bool:
        with gateway.start_run(name) as run:
            await both.wait()
            is_own = gateway.current_run() is run
            await both.wait()
        return is_own

    with gateway.start_run("sweep") as sweep:
        assert all(await asyncio.gather(trial("a"), trial("b")))
        assert gateway.current_run() is sweep


# Hand-over.


def test_a_run_is_handed_over_while_it_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_URL", "kafka://before:1")
    names = ("GATEWAY_RUN_ID", "GATEWAY_ATTEMPT", "GATEWAY_URL")
    seen = []
    with gateway.start_run("outer", url="none:", attempt=3):
        seen.append([os.environ.get(name) for name in names])
        with gateway.start_run("inner", url="none:"):
            seen.append([os.environ.get(name) for name in names])
        seen.append([os.environ.get(name) for name in names])
    seen.append([os.environ.get(name) for name in names])

    assert seen == [
        ["outer", "3", "none:"],
        ["inner", "1", "none:"],
        ["outer", "3", "none:"],
        [None, None, "kafka://before:1"],
    ]


def test_what_the_program_put_there_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_RUN_ID", "before")
    with gateway.start_run("r"):
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

    series = [one for event in memory.events() if isinstance(event, ev.Metrics) for one in event.series]
    assert {one.name: one.labels for one in series} == {
        "a": {"rank": "3"},
        "b": {"rank": "3", "subset": "x"},
        "c": {"rank": "4"},
        "d": {"rank": "3"},
    }


def test_a_process_that_joined_starts_a_run_of_its_own_when_it_names_a_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_RUN_ID", "above")
    joined, own = gateway.start_run(), gateway.start_run(parent="above")

    assert (joined.id, joined.is_owner, own.is_owner) == ("above", False, True)
    assert own.id != "above"
