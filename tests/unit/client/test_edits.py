"""Deletes and renames from training code keep their place among the points, and never raise."""

from __future__ import annotations

import pytest

from gateway.client.run.run import Run
from tests.support.client_harness import Memory


def changes(memory: Memory) -> list[tuple[str, ...]]:
    """Return the points, deletes and renames in the log, in its order."""
    found: list[tuple[str, ...]] = []
    for event in memory.events():
        match event.kind:
            case "metrics":
                found += [("point", one.name, str(one.values[0])) for one in event.series]
            case "deleted":
                found.append(("deleted", event.what, event.name))
            case "renamed":
                found.append(("renamed", event.what, event.old, event.new))
    return found


def test_points_stay_on_their_side_of_a_delete_and_a_rename(run: Run, memory: Memory) -> None:
    run.emit("loss", 1.0)
    run.delete(series="loss")
    run.emit("loss", 2.0)
    run.rename("train/loss", series="loss")
    run.emit("loss", 3.0)
    run.finish()

    assert changes(memory) == [
        ("point", "loss", "1.0"),
        ("deleted", "series", "loss"),
        ("point", "loss", "2.0"),
        ("renamed", "series", "loss", "train/loss"),
        ("point", "loss", "3.0"),
    ]


def test_several_names_and_kinds_go_in_one_call(run: Run, memory: Memory) -> None:
    run.log_params(lr=0.1, seed=1)
    run.set_tags(team="vision", draft="yes")
    run.delete(param="lr", tag=["draft", "team"], label="config", artifact=("model",))
    run.finish()

    assert changes(memory) == [
        ("deleted", "param", "lr"),
        ("deleted", "tag", "draft"),
        ("deleted", "tag", "team"),
        ("deleted", "label", "config"),
        ("deleted", "artifact", "model"),
    ]
    assert (run.params, run.tags) == ({"seed": 1}, {})


def test_a_run_and_its_parts_get_new_names(run: Run, memory: Memory) -> None:
    run.log_params(lr=0.1)
    run.set_tags(team="vision", group="a")
    run.rename("baseline")
    run.rename("rate", param="lr")
    run.rename("group", tag="team")
    run.finish()

    assert changes(memory) == [
        ("renamed", "run", "", "baseline"),
        ("renamed", "param", "lr", "rate"),
        ("renamed", "tag", "team", "group"),
    ]
    assert (run.name, run.params, run.tags) == ("baseline", {"rate": 0.1}, {"team": "vision", "group": "a"})


def test_a_call_that_names_nothing_or_too_much_changes_nothing_and_is_reported_once(
    run: Run, memory: Memory, capsys: pytest.CaptureFixture[str]
) -> None:
    run.delete()
    run.delete(series=[])
    run.rename("x", series="a", tag="b")
    run.delete(series=3)  # type: ignore[arg-type]  # a wrong argument must not raise
    run.finish()

    warnings = capsys.readouterr().err
    assert changes(memory) == []
    assert run.health()["notices"] == {"delete": 3, "rename": 1}
    assert "run.delete(series='loss')" in warnings
    assert "one part is renamed at a time" in warnings
