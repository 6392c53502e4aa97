"""Runs that other code and commands read, hide, restore and move, while and after they train, on real parts."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest

import gateway
from gateway import experiments, query, runs
from gateway.cli.runs import complete_run
from gateway.client.errors import IsDeleted, NotFound
from tests.support.dialect_stack import DialectStack


@pytest.fixture
def here(stack: DialectStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DialectStack:
    """The stack, which training in this process finds, too."""
    for name, value in {**stack.variables, "GATEWAY_JOURNAL_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    return stack


def trained(run_id: str, experiment: str) -> str:
    """Return the id of a run that readers see."""
    with gateway.start_run(run_id=run_id, experiment=experiment) as run:
        run.emit("loss", 0.5)
    run.barrier()
    return run.id


def listed(stack: DialectStack, *more: str) -> set[str]:
    return {run["run_id"] for run in stack.done("runs", "list", *more)["runs"]}


def test_a_run_reads_what_it_wrote_a_moment_ago(here: DialectStack) -> None:
    with gateway.start_run(run_id="reader", params={"lr": 0.1}) as run:
        for epoch in range(3):
            run.emit("loss", 1 / (epoch + 1), step=epoch)
            assert [point.value for point in query.metric_history(run, "loss")] == [1.0, 1 / 2, 1 / 3][: epoch + 1]
        seen, log = query.get_run(run), query.get_run_log(run)

    assert (seen.state, seen.params, seen.metrics) == ("running", {"lr": 0.1}, {"loss": 1 / 3})
    assert log["status"] == "PROCESSING"


def test_a_run_in_the_trash_keeps_what_training_records_and_comes_back(here: DialectStack) -> None:
    with gateway.start_run(run_id="hidden", experiment="attic") as run:
        run.emit("loss", 0.5)
        run.barrier()
        runs.trash("hidden")
        assert [one.id for one in query.search_runs(experiment="attic")] == []
        run.emit("loss", 0.25)
    run.barrier()

    (away,) = query.search_runs(experiment="attic", stage="deleted")
    assert (away.id, away.state, away.lifecycle_stage, away.metrics) == (
        "hidden",
        "finished",
        "deleted",
        {"loss": 0.25},
    )
    runs.restore("hidden")
    assert [one.lifecycle_stage for one in query.search_runs(experiment="attic")] == ["active"]
    assert [point.value for point in query.metric_history("hidden", "loss")] == [0.5, 0.25]
    runs.delete("hidden")
    with pytest.raises(query.RunNotFound, match="no run 'hidden'"):
        runs.restore("hidden")


def test_a_run_moves_to_another_experiment(here: DialectStack) -> None:
    target, gone = experiments.create("letters"), experiments.create("gone")
    experiments.delete(gone)
    trained("traveller", "numbers")

    runs.move("traveller", experiment="letters")
    moved = query.get_run("traveller")
    assert (moved.experiment, moved.experiment_id, moved.document["tag"]) == ("letters", target.id, "letters")
    experiments.rename(target, "characters")
    assert [one.id for one in query.search_runs("experiment = 'characters'")] == ["traveller"]
    assert [one.id for one in query.search_runs("state = 'finished'", experiment=target)] == ["traveller"]
    trained("stays", "numbers")
    runs.move("traveller", experiment="numbers")  # which only the tag of a run names
    assert (query.get_run("traveller").experiment, query.get_run("traveller").experiment_id) == ("numbers", "")
    with pytest.raises(NotFound, match="no experiment is named 'numbrz'"):
        runs.move("traveller", experiment="numbrz")
    with pytest.raises(IsDeleted, match="experiment 'gone' is deleted: restore it first"):
        runs.move("traveller", experiment="gone")
    runs.move("traveller", experiment=target)  # as it was before it was renamed
    assert query.get_run("traveller").experiment == "characters"
    with gateway.start_run(experiment=target) as run:
        assert query.get_run(run).experiment == "characters"


def test_commands_do_the_same(here: DialectStack) -> None:
    run_id = trained("by-command", "shelf")
    trained("other", "box")

    (event,) = here.done("runs", "trash", run_id)["events"]
    here.until(run_id, lambda log: log["lifecycle_stage"] == "deleted", "it is in the trash")
    assert (event["kind"], event["stage"]) == ("lifecycle_stage", "deleted")
    found = [run_id in listed(here, *more) for more in ((), ("--stage", "deleted"), ("--stage", "all"))]
    assert found == [False, True, True]
    assert complete_run(SimpleNamespace(params={}), run_id[:4]) == [run_id]  # for `gateway runs restore`
    assert "in the trash: `gateway runs restore` takes it out" in here.gateway("runs", "show", run_id).stdout
    here.done("runs", "restore", run_id)
    here.until(run_id, lambda log: log["lifecycle_stage"] == "active", "it is restored")
    here.done("runs", "move", run_id, "--to", "box")
    here.until(run_id, lambda log: (log["tag"], log["experiment"]) == ("box", "box"), "it is moved")
    assert listed(here, "-e", "box", "--where", "metrics.loss < 1 or state = 'failed'") == {run_id, "other"}


def test_a_history_is_printed_in_three_forms(here: DialectStack) -> None:
    with gateway.start_run(run_id="printed") as run:
        run.emit("loss", 0.5, step=1, time=1_700_000_000)
        run.emit("loss", float("nan"), step=2, time=1_700_000_001)
    run.barrier()

    table = list(csv.DictReader(StringIO(here.gateway("runs", "history", "printed", "loss", "--csv").stdout)))
    lines = here.gateway("runs", "history", "printed", "loss", "--json").stdout.splitlines()
    shown = here.gateway("runs", "history", "printed", "loss").stdout.splitlines()

    assert table == [
        {"step": "1", "time": "1700000000000000", "value": "0.5"},
        {"step": "2", "time": "1700000001000000", "value": "nan"},
    ]
    assert [json.loads(line)["value"] for line in lines] == [0.5, "NaN"]
    assert [line.split() for line in shown] == [
        ["1", "2023-11-14", "22:13:20", "UTC", "0.5"], ["2", "2023-11-14", "22:13:21", "UTC", "nan"],
    ]  # fmt: skip


def test_what_is_wrong_is_one_line(here: DialectStack) -> None:
    trained("wrong", "")
    answers = {
        ("trash", "nothing"): "no run 'nothing'",
        ("history", "nothing", "loss"): "no run 'nothing'",
        ("history", "wrong", "los"): "did you mean 'loss'?",
        ("move", "wrong", "--to", "nowhere"): "no experiment is named 'nowhere'",
        ("list", "--where", "metrics.loss >"): "expected a number",
    }

    for arguments, answer in answers.items():
        done = here.gateway("runs", *arguments)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
        assert answer in done.stderr
    done = here.gateway("runs", "list", "--stage", "trashed")  # an option's words, as the command's help has them
    assert done.returncode == 2
    assert "'active'" in done.stderr
