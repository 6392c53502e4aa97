"""Steps of branches are shown inside the step that ran them, as in the run log of Magnus."""

from __future__ import annotations

from consumers.store.read.branches import nest
from schemas.runlog import StepLog


def steps(*given: tuple[str, str, str]) -> dict[str, StepLog]:
    return {name: StepLog(name=short, internal_name=name, step_type=kind) for name, short, kind in given}


def test_steps_of_branches_are_inside_the_innermost_step_that_ran_them() -> None:
    outer = nest(
        steps(
            ("first", "first", "task"),
            ("map", "map", "map"),
            ("map.1.par", "par", "parallel"),
            ("map.1.par.a.one", "one", "task"),
            ("map.1.par.a.fail", "fail", "fail"),
            ("map.1.success", "success", "success"),
            ("map.v1.2.one", "one", "task"),
        )
    )
    branches = outer["map"].branches
    inner = branches["map.1"].steps["map.1.par"].branches

    assert list(outer) == ["first", "map"]
    assert {name: (list(one.steps), one.status) for name, one in branches.items()} == {
        "map.1": (["map.1.par", "map.1.success"], "SUCCESS"),
        "map.v1.2": (["map.v1.2.one"], "PROCESSING"),
    }
    assert {name: (list(one.steps), one.status) for name, one in inner.items()} == {
        "map.1.par.a": (["map.1.par.a.one", "map.1.par.a.fail"], "FAIL")
    }


def test_a_dot_in_the_name_of_any_other_step_means_nothing() -> None:
    found = steps(("map", "map", "task"), ("map.1.one", "one", "task"), ("a.b", "a.b", "task"), ("x.y", "y", "map"))

    assert list(nest(found)) == ["map", "map.1.one", "a.b", "x.y"]
