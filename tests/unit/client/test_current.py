"""Nothing raises into training, and every call finds the run it belongs to."""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gateway
from gateway.client.encoding import values
from gateway.client.registry.results import Experiment
from gateway.client.run.run import Run
from schemas import events as ev
from tests.support.client_harness import ROOT, Memory, new_run, points, shipping, train

pytestmark = pytest.mark.usefixtures("own_process")

EXPERIMENT = Experiment(
    id="42", name="digits", former_names=(), is_deleted=False, description="", artifact_location="", tags={}, created=0,
    updated=0,
)  # fmt: skip


class Hostile:
    """Every operation on it raises."""

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
    """A dict whose every read fails."""

    def items(self) -> Any:
        raise RuntimeError("items")

    def keys(self) -> Any:
        raise RuntimeError("keys")

    def __iter__(self) -> Any:
        raise RuntimeError("iter")


class Endless:
    """Its repr() recurses without end."""

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


def with_odd_objects(value: Any) -> Any:
    """Replace names of odd objects in a generated value by the objects; hypothesis itself cannot handle them."""
    if isinstance(value, list):
        return [with_odd_objects(item) for item in value]
    if isinstance(value, dict):
        return {name: with_odd_objects(item) for name, item in value.items()}
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
            getattr(run, name)(*map(with_odd_objects, given_values[: METHODS[name]]))
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
            for room in range(1, 40):  # with ever more room, so that the stack ends once in each line of emit
                climb(room)
            return depth

    def climb(room: int) -> None:
        sys.setrecursionlimit(limit + room)
        try:
            run.emit("x", [object()])
        except RecursionError:
            assert room < 4  # there was no room even for the call itself

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

    assert {event.time for event in memory.events() if not isinstance(event, ev.Points)} == {0}


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
def test_every_point_reaches_the_log_with_a_valid_time_for_any_clock(clock_ns: int, seen_us: int) -> None:
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
    assert len(found.stderr.splitlines()) <= 1  # one warning about the clock


@pytest.mark.parametrize("seconds", [math.inf, math.nan, -1, "soon", 10**400, None])
def test_finish_does_not_raise_for_any_timeout(tmp_path: Path, seconds: Any) -> None:
    memory = Memory()
    with shipping(memory) as shipper:
        run = new_run(shipper)
        run.emit("loss", 0.5)
        run.log_artifact(tmp_path)  # measured in the background, which `finish` waits for
        run.flush(seconds)
        run.finish(timeout_s=seconds)
        assert run.finish(timeout_s=20).unsent == 0


# Runs inside runs.


def opened(run: Run) -> dict[str, str]:
    return {"group": run.group, "parent": run.parent_id}


def test_a_run_inside_a_run_is_its_child_in_its_group() -> None:
    with (
        gateway.start_run(run_id="outer", group="g"),
        gateway.start_run(run_id="inner") as inner,
        gateway.start_run(group="h") as own,
    ):
        found = [opened(inner), opened(own)]

    assert found == [{"group": "g", "parent": "outer"}, {"group": "h", "parent": "inner"}]


def test_runs_may_finish_in_any_order() -> None:
    first, second, third = (gateway.start_run(run_id=name) for name in ("1", "2", "3"))
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
        with gateway.start_run(run_id="of-thread"):
            both.wait()
            found.append(gateway.current_run())
            both.wait()

    with gateway.start_run(run_id="outer"), gateway.start_run(run_id="inner"):
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
        with gateway.start_run(run_id=name) as run:
            await both.wait()
            is_own = gateway.current_run() is run
            await both.wait()
        return is_own

    with gateway.start_run(run_id="sweep") as sweep:
        assert all(await asyncio.gather(trial("a"), trial("b")))
        assert gateway.current_run() is sweep


def test_parallel_trials_in_threads_are_no_children_of_each_other() -> None:
    side_by_side = threading.Barrier(3)

    def trial(number: int) -> str:
        with gateway.start_run(f"trial {number}", group="" if number else "first") as run:
            if number < 3:
                side_by_side.wait()
            return run.parent_id + run.group

    with ThreadPoolExecutor(3) as threads:
        assert sorted(threads.map(trial, range(9))) == [""] * 8 + ["first"]


async def test_parallel_trials_in_tasks_are_no_children_of_each_other() -> None:
    side_by_side = asyncio.Barrier(4)

    async def trial() -> str:
        with gateway.start_run() as run:
            await side_by_side.wait()
            return run.parent_id

    assert await asyncio.gather(*(trial() for _ in range(4))) == [""] * 4


async def test_trials_in_tasks_and_copied_threads_inside_a_block_are_its_children() -> None:
    async def trial() -> str:
        with gateway.start_run() as run:
            return run.parent_id

    def in_thread() -> str:
        with gateway.start_run() as run:
            return run.parent_id

    with gateway.start_run(run_id="sweep"):
        found = await asyncio.gather(trial(), trial(), asyncio.to_thread(in_thread))

    assert list(found) == ["sweep"] * 3


def test_a_thread_inside_a_block_names_its_parent() -> None:
    found: list[str] = []

    def trial(parent: Run | None) -> None:
        with gateway.start_run(parent=parent) as run:
            found.extend([run.parent_id, run.group])

    with gateway.start_run(run_id="sweep", group="g") as sweep:
        for parent in (None, sweep):
            thread = threading.Thread(target=trial, args=(parent,))
            thread.start()
            thread.join()

    assert found == ["", "", "sweep", "g"]


def test_runs_that_are_started_one_after_the_other_without_a_block_are_siblings() -> None:
    runs = [gateway.start_run() for _ in range(3)]
    with gateway.start_run() as last:
        inner = gateway.start_run()

    assert [run.parent_id for run in (*runs, last, inner)] == ["", "", "", "", last.id]


def test_what_follows_the_end_of_a_run_goes_to_an_older_one_only_with_a_word(
    capsys: pytest.CaptureFixture[str],
) -> None:
    gateway.start_run("older")
    gateway.start_run("newer").finish()

    assert "run newer is finished, and run older, started before it, is still open" in capsys.readouterr().err


def test_the_end_of_a_process_with_several_runs_says_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import gateway\ngateway.start_run('older')\ngateway.start_run('newer')"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stderr.count("gateway: ") == 1  # where the events are kept
    assert "still open" not in done.stderr


def test_the_end_of_a_child_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    main = gateway.start_run("main")
    gateway.start_run("child", parent=main).finish()
    main.finish()
    with gateway.start_run("block"):
        gateway.start_run("in the block").finish()

    assert "still open" not in capsys.readouterr().err


# Which run is current.


def test_the_run_started_last_is_current_until_it_is_finished() -> None:
    outer, inner = gateway.start_run(run_id="outer"), gateway.start_run(run_id="inner")
    found = [gateway.current_run()]
    inner.finish()
    found.append(gateway.current_run())
    outer.finish()
    found.append(gateway.current_run())

    assert found == [inner, outer, None]


@pytest.mark.parametrize("run_id", ["", "x" * 257, "a\x00b", "\ud800", 7])
def test_a_run_id_that_cannot_be_used_is_named(run_id: Any) -> None:
    with pytest.raises(gateway.ClientError, match="cannot be used: give 1 to 256 characters"):
        gateway.start_run(run_id=run_id)


class Names(str, Enum):  # noqa: UP042 -- its str() is not its text, which that of a StrEnum is
    FIRST = "r"


def test_a_run_id_of_a_class_of_its_own_is_its_text() -> None:
    run = gateway.start_run(run_id=Names.FIRST)
    run.emit("x", 1.0)

    assert (type(run.id), run.id, os.environ["GATEWAY_RUN_ID"]) == (str, "r", "r")
    assert Path(run.health()["journal"]).parts[-2] == "r"


@pytest.mark.parametrize("refused", [{"url": "ftp://host:1"}, {"capture": {"consol": True}}])
def test_a_call_that_is_refused_takes_no_id(refused: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(gateway.ClientError):
        gateway.start_run(run_id="r", **refused)
    run = gateway.start_run(run_id="r")

    assert (run.id, run.attempt, capsys.readouterr().err) == ("r", 1, "")


@pytest.mark.parametrize(
    "named", [{"experiment": "digits"}, {"tag": "digits"}, {"experiment": "digits", "tag": "digits"}]
)
def test_a_run_names_its_experiment_by_either_argument(named: dict[str, Any]) -> None:
    run = gateway.start_run(**named)

    assert b'"tag":"digits"' in b"".join(path.read_bytes() for path in Path(run.health()["journal"]).glob("*.seg"))


def test_a_run_starts_in_an_experiment_that_was_returned() -> None:
    run = gateway.start_run(experiment=EXPERIMENT)

    journal = b"".join(path.read_bytes() for path in Path(run.health()["journal"]).glob("*.seg"))
    assert b'"tag":"digits"' in journal
    assert b'"experiment_id":"42"' in journal


def test_a_run_has_one_experiment() -> None:
    with pytest.raises(gateway.ClientError, match="tag 'a' and experiment 'b' name two experiments"):
        gateway.start_run(tag="a", experiment="b")


def test_emit_starts_a_run_whatever_the_arguments_of_the_program_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [7])
    gateway.emit("x", 1.0)

    run = gateway.current_run()
    assert (run and run.name) == "7"


def test_an_address_that_cannot_be_used_stops_start_run() -> None:
    with pytest.raises(gateway.ClientError, match="is not an address"):
        gateway.start_run(url="ftp://host:1")


def test_an_address_that_cannot_be_used_does_not_stop_emit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_URL", "ftp://host:1")
    gateway.emit("loss", 0.5)
    report = gateway.finish()

    assert report is not None
    assert (report.emitted, report.unsent, report.dropped) == (1, 1, 0)
    assert capsys.readouterr().err.count("is not an address") == 1


def test_every_module_function_works_without_a_run() -> None:
    gateway.log_params(lr=0.1)
    gateway.set_tags(a=1)
    gateway.set_labels(b=[1])
    gateway.note("x")
    gateway.artifact("m", "s3://x")
    with gateway.step("train"):
        gateway.emit({"loss": 0.5})
    assert gateway.flush(5.0)
    report = gateway.finish()

    assert report is not None
    assert report.emitted == 1


def test_without_a_run_there_is_nothing_to_finish() -> None:
    assert gateway.finish() is None
    assert gateway.flush() is True


def test_the_first_argument_of_start_run_is_the_name() -> None:
    with gateway.start_run("myrun") as first, gateway.start_run("myrun") as second:
        assert (first.name, second.name) == ("myrun", "myrun")

    assert first.id != second.id
