"""Which run a call of `tracking` acts on: threads, tasks, notebooks, runs left open; and what an outage does to it."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

import gateway
from gateway.client import notices
from gateway.client.run import registry
from gateway.dialects.sap import active, tracking
from gateway.local.ports import HOST, free_ports
from tests.support.client_harness import train
from tests.support.sap_program import forget_runs

LEFT_OPEN = "is ended, because another one is started: call tracking.end_run() at its end"


@pytest.fixture(autouse=True)
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A program whose runs are sent nowhere."""
    for name, value in {"URL": "none:", "CAPTURE": "none", "SAP_NOTEBOOK": "abc", "FINISH_TIMEOUT_S": "0.3"}.items():
        monkeypatch.setenv(f"GATEWAY_{name}", value)
    monkeypatch.delenv("GATEWAY_RUN_ID", raising=False)
    forget_runs(monkeypatch)
    notices.reset()
    yield
    for run in reversed(registry.open_runs()):
        run.finish(timeout_s=0)
    notices.reset()


def notices_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines on stderr, without that which says where events wait that are sent nowhere."""
    return [line for line in capsys.readouterr().err.splitlines() if "events are kept in" not in line]


def open_names() -> list[str]:
    return [run.name for run in registry.open_runs()]


def test_a_run_left_open_ends_when_the_next_is_started(capsys: pytest.CaptureFixture[str]) -> None:
    tracking.start_run(run_name="first")
    first = active.active()
    tracking.start_run(run_name="second")
    tracking.log_parameters({"lr": 0.1})

    assert (first.is_finished, set(first.params)) == (True, {"start", "end"})
    assert (open_names(), active.active().params["lr"]) == (["second"], "0.1")
    assert notices_of(capsys) == [f"gateway: run first {LEFT_OPEN}"]


def test_a_run_that_cannot_be_started_leaves_the_active_one_open() -> None:
    tracking.start_run(run_name="first")
    wrongs: list[dict[str, Any]] = [
        {"run_name": ""}, {"run_name": 1}, {"run_collection_name": "x" * 1_025}, {"run_collection_name": b"x"},
        {"run_name": "a\x00"},
    ]  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(tracking.TrackingError):
            tracking.start_run(**wrong)

    assert open_names() == ["first"]


def test_a_run_is_ended_once(capsys: pytest.CaptureFixture[str]) -> None:
    tracking.start_run()
    tracking.end_run()

    with pytest.raises(tracking.TrackingError, match=r"no run is active: call tracking.start_run\(\) first"):
        tracking.end_run()
    assert notices_of(capsys) == []


def test_records_after_the_end_are_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    run = tracking.start_run()
    own = active.active()
    tracking.log_metric("loss", 1)
    tracking.end_run()
    for value in range(3):
        tracking.log_metric("loss", value, run=run)

    assert own.recorder.count().emitted == 4
    own.finish()
    assert notices_of(capsys) == []


def in_threads(work: Callable[[int], None], count: int) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_thread_has_its_own_run_or_that_of_the_main_thread(capsys: pytest.CaptureFixture[str]) -> None:
    def train(number: int) -> None:
        tracking.log_parameters(f"before {number}", number)
        tracking.start_run(run_name=f"run {number}")
        tracking.log_parameters("number", number)
        found[number] = active.active()
        tracking.end_run()
        tracking.log_parameters(f"after {number}", number)

    found: dict[int, Any] = {}
    tracking.start_run(run_name="main")
    in_threads(train, 8)

    assert [(found[at].name, found[at].params["number"]) for at in range(8)] == [
        (f"run {at}", str(at)) for at in range(8)
    ]
    assert set(active.active().params) == {
        "start",
        *(f"{when} {at}" for when in ("before", "after") for at in range(8)),
    }
    assert LEFT_OPEN not in capsys.readouterr().err


class EndedMeanwhile:
    """An open run that another thread ends at the moment in which this one looks at it."""

    def __init__(self, at: int) -> None:
        opened = vars(active)["_open"]
        self._run: gateway.Run = opened[at].run
        self.place = opened[at].place
        opened[at] = self

    @property
    def run(self) -> gateway.Run:
        with suppress(ValueError):
            vars(active)["_open"].remove(self)
        return self._run


@pytest.mark.parametrize(
    "look",
    [
        lambda mine: active.active().id == mine.id,
        lambda mine: active.is_open(mine.id),
        lambda mine: active.writer(mine.id).name == "mine",
        lambda _: bool(tracking.start_run()) and "mine" not in open_names(),
    ],
    ids=["active", "is_open", "writer", "start"],
)
def test_a_run_is_found_while_another_thread_ends_one(
    look: Callable[[Any], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def start_elsewhere(name: str) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(active, "get_ident", lambda: name)
            contextvars.Context().run(tracking.start_run, run_name=name)

    start_elsewhere("ends")
    mine = tracking.start_run(run_name="mine")
    start_elsewhere("newest")
    EndedMeanwhile(0)

    assert look(mine)


def test_a_forked_child_that_starts_a_run_leaves_that_of_its_parent_open() -> None:
    done = train(
        """
        import os
        from gateway.dialects.sap import active, tracking

        tracking.start_run(run_name="parent")
        if os.fork() == 0:
            tracking.start_run(run_name="child")
            names = [active.active().name]
            tracking.end_run()
            print(*names, active.active().name, flush=True)
            os._exit(0)
        os.wait()
        tracking.end_run()
        """,
        {"GATEWAY_URL": "none:", "GATEWAY_CAPTURE": "none"},
    )

    assert (done.returncode, done.stdout.split()) == (0, ["child", "parent"]), done.stderr
    assert [line for line in done.stderr.splitlines() if "events are kept in" not in line] == []


def test_tasks_side_by_side_do_not_end_the_runs_of_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    async def evaluate(number: int) -> Any:
        tracking.start_run(run_name=f"run {number}")
        await asyncio.sleep(0)
        tracking.log_parameters("number", number)
        run = active.active()
        tracking.end_run()
        return run

    async def both() -> list[Any]:
        tracking.start_run(run_name="around")
        runs = await asyncio.gather(*(evaluate(number) for number in range(5)))
        assert active.active().name == "around"
        tracking.end_run()
        return runs

    found = asyncio.run(both())

    assert [(run.name, run.params["number"]) for run in found] == [(f"run {at}", str(at)) for at in range(5)]
    assert LEFT_OPEN not in capsys.readouterr().err


def test_cells_of_a_notebook_are_one_place_although_each_is_a_task(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = SimpleNamespace(execution_count=0, kernel=object(), user_ns={})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))

    async def cell(name: str) -> None:
        shell.execution_count += 1
        tracking.start_run(run_name=name)

    for name in ("first", "second"):
        asyncio.run(cell(name))

    assert open_names() == ["second"]
    assert f"run first {LEFT_OPEN}" in capsys.readouterr().err


def test_runs_of_the_gateway_around_are_not_those_of_this_api() -> None:
    with gateway.start_run("around") as around:
        with pytest.raises(tracking.TrackingError, match="no run is active"):
            tracking.log_metric("loss", 1)
        tracking.start_run(run_name="inside")
        assert (active.active().name, active.active().parent_id) == ("inside", around.id)
        with gateway.start_run("innermost"):
            tracking.log_metric("loss", 1)
            assert active.active().name == "inside"
        tracking.end_run()

        assert gateway.current_run() is around
    assert not around.params


def test_what_is_recorded_by_id_goes_to_the_open_run() -> None:
    run = tracking.start_run()
    for given in (run, run.id, tracking.Run(id=run.id), None):
        assert active.writer(given) is active.active()


def test_many_runs_in_one_process_are_not_all_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(active, "MAX_UNREAD", 3)
    monkeypatch.setattr(active, "MAX_WRITERS", 2)
    runs = []
    for _ in range(5):
        runs.append(tracking.start_run())
        tracking.end_run()
    tracking.log_metric("loss", 1, run=runs[3])

    kept = (vars(active)["_unread"], vars(active)["_writers"])
    assert [list(one) for one in kept] == [[runs[at].id for at in places] for places in ((2, 4, 3), (4, 3))]


def test_many_runs_with_records_after_their_end_do_not_hold_their_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(active, "MAX_UNREAD", 2)
    monkeypatch.setattr(active, "MAX_WRITERS", 2)
    recorders, runs = [], []
    for value in range(30):
        runs.append(tracking.start_run())
        recorders.append(active.active().recorder)
        tracking.end_run()
        tracking.log_metric("loss", value, run=runs[-1])
    active.forget([runs[-1].id])

    ids = {run.id for run in runs}
    late = [run for run in registry.unfinished_runs() if run.id in ids]
    assert [run.id for run in late] == [runs[-2].id]
    assert [one.count().emitted for one in recorders] == [1] * 30
    assert notices_of(capsys) == []
    late[0].finish()


def test_a_wrong_metric_of_a_list_leaves_the_others_out() -> None:
    tracking.start_run()
    for wrong in ([{"name": "a", "value": 1}, {"name": "b", "value": "x"}], {"a": 1, "b": float("nan")}):
        with pytest.raises(tracking.TrackingError):
            tracking.log_metrics(wrong)  # type: ignore[arg-type]  # values of any type

    assert active.active().recorder.count().emitted == 0


def test_without_log_and_api_logging_continues_and_reading_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log, api = free_ports(2)
    monkeypatch.setenv("GATEWAY_URL", f"kafka://{HOST}:{log}")
    monkeypatch.setenv("GATEWAY_LIVE_URL", f"http://{HOST}:{api}")
    run = tracking.start_run()
    own = active.active()
    tracking.log_parameters({"lr": 0.1})
    tracking.log_metric("loss", 0.5)
    tracking.set_tags({"a": "b"})
    tracking.set_labels({"a": {"b": 1}})
    tracking.update_run_info(run_name="renamed", run_collection_name="RC1")

    assert tracking.persist_run() is False
    assert "gateway: persist_run: " in capsys.readouterr().err
    for call in (tracking.get_metrics_history, lambda: tracking.get_runs(run=run)):
        with pytest.raises(tracking.TrackingError, match=r"not acknowledged by Kafka at .*: they are kept"):
            call()
    tracking.end_run()
    tracking.log_metric("loss", 0.25, run=run)
    with pytest.raises(tracking.TrackingError, match=r"the API at .* cannot be reached"):
        tracking.log_metric("loss", 1, run=tracking.Run(id="of another process"))

    assert (own.recorder.count().emitted, own.recorder.count().unsent) == (2, 2)
    own.finish(timeout_s=0)


def test_a_run_that_is_sent_nowhere_cannot_be_read() -> None:
    run = tracking.start_run()

    with pytest.raises(tracking.TrackingError, match=r"sent nowhere.*gateway up"):
        tracking.get_runs(run=run)
    assert tracking.persist_run() is False


def test_an_address_that_is_none_is_an_error_of_this_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_URL", "nonsense")

    with pytest.raises(tracking.TrackingError, match="'nonsense' is not an address"):
        tracking.start_run()
    assert open_names() == []


def test_a_run_that_something_else_ended_is_active_no_more() -> None:
    tracking.start_run(run_name="first")
    gateway.finish()

    with pytest.raises(tracking.TrackingError, match="no run is active"):
        tracking.log_metric("loss", 1)
    tracking.start_run(run_name="second")
    assert open_names() == ["second"]
