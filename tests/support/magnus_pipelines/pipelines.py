"""Pipelines for magnus 0.5.1, by its SDK: `python pipelines.py CONFIGURATION PIPELINE...`."""

import sys
import traceback
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from magnus import Map, Parallel, Pipeline, Task


def of(*tasks: Any, others: Sequence[Any] = ()) -> Pipeline:
    for one, following in pairwise(tasks):
        one >> following
    return Pipeline(steps=[*tasks, *others], start_at=tasks[0], add_terminal_nodes=True)


def task(name: str, command: str, last: bool = False, **more: str) -> Task:
    return Task(name=name, command=f"tasks.{command}", terminate_with_success=last, **more)


def sequential() -> Pipeline:
    return of(task("Emit Metrics", "emit_metrics"), task("Emit Steps", "emit_steps", last=True))


def collision() -> Pipeline:
    return of(task("first", "say_hello"), task("second", "say_hey", last=True))


def hard() -> Pipeline:
    return of(task("hard", "hard_cases"), task("context", "with_context", last=True))


def failing() -> Pipeline:
    others = [task("clean up", "clean_up", last=True)]
    return of(task("fails", "fail_after_tracking", on_failure="clean up", last=True), others=others)


def fails() -> Pipeline:
    return of(task("fails", "fail_after_tracking", last=True))


def children() -> Pipeline:
    return of(task("children", "track_in_children", last=True))


def mapped() -> Pipeline:
    branch = of(task("one", "of_branch", last=True))
    return of(Map(name="mapper", branch=branch, iterate_on="chunks", iterate_as="chunk", terminate_with_success=True))


def killed() -> Pipeline:
    return of(task("dies", "die", last=True))


def parallel() -> Pipeline:
    branches = {name: of(task("inner", "of_parallel", last=True)) for name in ("left", "right")}
    return of(Parallel(name="both", branches=branches, terminate_with_success=True))


if __name__ == "__main__":
    configuration, *names = sys.argv[1:]
    for name in names:
        try:
            globals()[name]().execute(
                configuration_file=configuration, run_id=f"m-{name}", tag="exp-a", parameters_file="parameters.yaml"
            )
        except Exception:  # noqa: BLE001 -- the next pipeline is executed anyway
            traceback.print_exc()
