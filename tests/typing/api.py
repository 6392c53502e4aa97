"""How users call the client. Never run: mypy and pyright check the arguments and the types of the results."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import assert_type

import gateway


def scalars(run: gateway.Run) -> None:
    gateway.emit("loss", 0.1)
    gateway.emit("loss", 0.1, 3)
    gateway.emit("loss", 1, step=3, time=1_700_000_000.5, labels={"rank": 0})
    gateway.emit({"loss": 0.1, "val": {"acc": 0.9}}, step=3)
    run.emit("note", "text", time=datetime.now(UTC))
    run.emit({"loss": [1, 2, {"a": None}]})


def runs() -> None:
    with gateway.start_run("n", run_id="id", params={"lr": 0.1}, tags={"a": 1}, tag="exp", group="sweep") as run:
        assert_type(run, gateway.Run)
        assert_type(run.id, str)
        assert_type(run.finish("failed", message="why", timeout_s=1.0), gateway.Report)
    gateway.start_run(experiment="exp")
    child = gateway.start_run(parent=run, url="kafka://localhost:9092", resume=True, attempt=3)
    assert_type(child.flush(timeout_s=1), bool)
    assert_type(gateway.current_run(), gateway.Run | None)
    assert_type(gateway.finish(), gateway.Report | None)


def facts(run: gateway.Run) -> None:
    gateway.log_params({"lr": 0.1}, seed=1)
    gateway.set_tags(team="vision")
    gateway.set_labels({"config": {"a": [1]}})
    gateway.note("text")
    gateway.artifact("model", "s3://bucket/key", size=3, sha256="0" * 64)
    run.artifact("model", "s3://bucket/key", media_type="application/x")
    assert_type(run.tags["team"], str)
    report = run.report
    if report is not None:
        assert_type((report.emitted, report.sent, report.unsent, report.dropped), tuple[int, int, int, int])


def steps(run: gateway.Run) -> None:
    with run.step("train", attempt=2) as step:
        assert_type(step.attempt, int | None)

    @run.step("test")
    def test(value: int) -> float:
        return value / 2

    @gateway.step("fetch")
    async def fetch(name: str) -> bytes:
        return name.encode()

    assert_type(test(3), float)


def errors() -> None:
    try:
        gateway.start_run(url="http://host:1")
    except gateway.ClientError as error:
        assert_type(str(error), str)


def more(run: gateway.Run) -> None:
    with gateway.start_run(capture={"console": True}, rank=False, parent="") as child:
        assert_type(child.group, str)
    gateway.start_run(capture=False, rank=3)
    gateway.text("sample", "output of the model", step=3)
    run.text("sample", "output of the model")
    logged = gateway.log_artifact("model.pt", artifact_path="model")
    store: str = logged.store if logged is not None else ""
    names = [one.name for one in gateway.log_artifacts(Path("checkpoint"), store) or ()]
    gateway.log_params(names=names)
    run.log_artifact(Path("model.pt"), "model", media_type="application/x")
    assert_type(gateway.histogram([1, 2, 3], bins=8), gateway.Histogram)
    gateway.emit("weights", gateway.Histogram([1, 2], [0.0, 0.5, 1.0]), step=1)
    assert_type(run.is_finished, bool)
    run.delete(series="loss", tag=["draft", "team"])
    run.rename("baseline")
    run.rename("train/loss", series="loss")


def registry(run: gateway.Run) -> None:
    experiment = gateway.experiments.ensure("digits", tags={"team": "vision"})
    assert_type(experiment.former_names, tuple[str, ...])
    assert_type([one.id for one in gateway.experiments.search("tags.team = 'vision'", state="all")], list[str])
    version = gateway.models.create_version("digits", "s3://b/1", run_id=run.id, register_model=True)
    assert_type(version.version, int)
    assert_type(gateway.models.resolve("models:/digits@best").source, str)
    try:
        gateway.experiments.rename(experiment, "letters")
    except gateway.experiments.AlreadyExists as error:
        assert_type(error.request_id if isinstance(error, gateway.models.Undecided) else "", str)
