from __future__ import annotations

import asyncio
import threading

import pytest

from gateway.client.run.run import Run
from schemas import events as ev
from tests.support.client_harness import Memory, new_run, shipping


def recorded(memory: Memory) -> list[tuple[str, str, int]]:
    """Return kind, named step and attempt of all events that have them."""
    found = [one.model_dump() for one in memory.events() if isinstance(one, ev.Scoped)]
    return [(one["kind"], one["step_name"], one["attempt"]) for one in found]


def test_a_step_starts_and_ends_around_what_is_emitted_inside(run: Run, memory: Memory) -> None:
    run.emit("loss", 1.0)
    with run.step("train") as step:
        run.emit("loss", 2.0)
        run.log_params({"lr": 0.1})
    run.emit("loss", 3.0)
    run.finish()

    assert step.attempt == 1
    assert recorded(memory) == [
        ("metrics", "main", 1),
        ("step_started", "train", 1),
        ("metrics", "train", 1),
        ("params", "train", 1),
        ("step_finished", "train", 1),
        ("metrics", "main", 1),
    ]


def test_entering_a_step_again_is_its_next_attempt(run: Run, memory: Memory) -> None:
    for attempt in (None, None, 7, None):
        with run.step("train", attempt=attempt):
            pass
    run.finish()

    assert [attempt for kind, _, attempt in recorded(memory) if kind == "step_started"] == [1, 2, 7, 8]


def test_the_first_attempt_of_a_step_is_that_of_the_run(memory: Memory) -> None:
    with shipping(memory) as shipper:
        run = new_run(shipper, attempt=3)
        run.emit("loss", 1.0)
        with run.step("train"):
            pass
        run.finish()

    assert recorded(memory)[:2] == [("metrics", "main", 3), ("step_started", "train", 3)]


def test_an_exception_is_the_steps_failure_and_is_raised_further(run: Run, memory: Memory) -> None:
    with pytest.raises(ValueError, match="bad"), run.step("train"):
        raise ValueError("bad")
    run.finish()

    finished = next(one for one in memory.events() if isinstance(one, ev.StepFinished))
    assert (finished.status, finished.message) == ("fail", "ValueError: bad")


def test_steps_nest(run: Run, memory: Memory) -> None:
    with run.step("outer"):
        with run.step("inner"):
            run.emit("a", 1.0)
        run.emit("b", 1.0)
    run.finish()

    assert [name for kind, name, _ in recorded(memory) if kind == "metrics"] == ["inner", "outer"]


def test_a_decorated_function_is_a_step_each_time(run: Run, memory: Memory) -> None:
    @run.step("train")
    def train(value: float) -> float:
        run.emit("loss", value)
        return value * 2

    assert [train(1.0), train(2.0)] == [2.0, 4.0]
    run.finish()
    assert [(name, attempt) for kind, name, attempt in recorded(memory) if kind == "metrics"] == [
        ("train", 1),
        ("train", 2),
    ]


async def test_tasks_side_by_side_keep_their_steps(run: Run, memory: Memory) -> None:
    both = asyncio.Barrier(2)

    async def work(name: str) -> None:
        @run.step(name)
        async def body() -> None:
            await both.wait()
            run.emit(f"of-{name}", 1.0)
            await both.wait()

        await body()

    await asyncio.gather(work("a"), work("b"))
    await asyncio.to_thread(run.finish)

    found = {one.step_name: [s.name for s in one.series] for one in memory.events() if isinstance(one, ev.Points)}
    assert found == {"a": ["of-a"], "b": ["of-b"]}


def test_threads_side_by_side_keep_their_steps(run: Run, memory: Memory) -> None:
    both = threading.Barrier(2)

    def work(name: str) -> None:
        with run.step(name):
            both.wait()
            run.emit(f"of-{name}", 1.0)
            both.wait()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.finish()

    found = {one.step_name: [s.name for s in one.series] for one in memory.events() if isinstance(one, ev.Points)}
    assert found == {"a": ["of-a"], "b": ["of-b"]}


def test_a_step_that_two_threads_enter_is_left_by_each(run: Run, memory: Memory) -> None:
    shared, both = run.step("shared"), threading.Barrier(2)

    def stay() -> None:
        with shared:
            both.wait()  # both are inside
            both.wait()  # the other has left
            run.emit("inside", 1.0)

    thread = threading.Thread(target=stay)
    with shared:
        thread.start()
        both.wait()
    both.wait()
    thread.join()
    run.finish()

    assert recorded(memory) == [
        ("step_started", "shared", 1),
        ("step_started", "shared", 2),
        ("step_finished", "shared", 1),
        ("metrics", "shared", 2),
        ("step_finished", "shared", 2),
    ]


def test_a_step_that_was_not_entered_may_be_left(run: Run, memory: Memory) -> None:
    run.step("never").__exit__(None, None, None)
    with run.step("once") as step:
        pass
    step.__exit__(None, None, None)
    run.finish()

    assert [kind for kind, _, _ in recorded(memory)] == ["step_started", "step_finished"]


def test_a_worker_thread_belongs_to_the_step_its_run_has_open(run: Run, memory: Memory) -> None:
    with run.step("train"):
        thread = threading.Thread(target=run.emit, args=("loss", 1.0))
        thread.start()
        thread.join()
    run.finish()

    assert ("metrics", "train", 1) in recorded(memory)


def test_steps_of_two_runs_do_not_mix(run: Run, memory: Memory) -> None:
    elsewhere = Memory()
    with shipping(elsewhere) as shipper:
        other = new_run(shipper, "run-2")
        with run.step("a"), other.step("b"):
            run.emit("x", 1.0)
            other.emit("y", 1.0)
        run.finish()
        other.finish()

    assert ("metrics", "a", 1) in recorded(memory)
    assert ("metrics", "b", 1) in recorded(elsewhere)
