"""Pipelines for magnus 0.5.1, by its SDK: `python pipelines.py CONFIGURATION PIPELINE...`."""

import sys
import traceback
from itertools import pairwise

from magnus import Map, Parallel, Pipeline, Task


def of(*tasks, **more):
    for one, following in pairwise(tasks):
        one >> following
    return Pipeline(steps=[*tasks, *more.pop("others", ())], start_at=tasks[0], add_terminal_nodes=True, **more)


def task(name, command, last=False, **more):
    return Task(name=name, command=f"tasks.{command}", terminate_with_success=last, **more)


def sequential():
    return of(task("Emit Metrics", "emit_metrics"), task("Emit Steps", "emit_steps", last=True))


def collision():
    return of(task("first", "say_hello"), task("second", "say_hey", last=True))


def hard():
    return of(task("hard", "hard_cases"), task("context", "with_context", last=True))


def failing():
    others = [task("clean up", "clean_up", last=True)]
    return of(task("fails", "fail_after_tracking", on_failure="clean up", last=True), others=others)


def fails():
    return of(task("fails", "fail_after_tracking", last=True))


def mapped():
    branch = of(task("one", "of_branch", last=True))
    return of(Map(name="mapper", branch=branch, iterate_on="chunks", iterate_as="chunk", terminate_with_success=True))


def killed():
    return of(task("dies", "die", last=True))


def parallel():
    branches = {name: of(task("inner", "of_parallel", last=True)) for name in ("left", "right")}
    return of(Parallel(name="both", branches=branches, terminate_with_success=True))


if __name__ == "__main__":
    configuration, *names = sys.argv[1:]
    for name in names:
        try:
            globals()[name]().execute(
                configuration_file=configuration, run_id=f"m-{name}", tag="exp-a", parameters_file="parameters.yaml"
            )
        except Exception:  # noqa: BLE001 -- the next pipeline is executed all the same
            traceback.print_exc()
