"""Forty runs with values that are hard to search, for a stock MLflow server and, by the same ids, for our log."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from schemas import events as ev
from schemas.subjects import Subject
from schemas.values import JsonValue, StringValue
from schemas.wire import Envelope, ProducerId, RegistryEnvelope
from tests.support.log_author import Author

BEGIN_MS = 1_700_000_000_000
STATUSES = ["RUNNING", "FINISHED", "FAILED", "KILLED"]
NAMES = ["plain", "it's", 'say "hi"', "a_b%c", "ÄÖ ü", "back\\slash", "PLAIN"]
PARAMS = ["0.1", "0.10", "1e-1", "abc", "ABC", "True", "a%b_c", "it's"]
LOSSES: list[float | None] = [0.5, float("nan"), None, float("inf"), float("-inf"), 0.0, 2.0, 1e308, -3.25, 0.25]
ENDS: dict[str, Callable[..., ev.AnyEvent]] = {
    "FINISHED": ev.RunFinished,
    "FAILED": ev.RunFailed,
    "KILLED": ev.RunKilled,
}


@dataclass
class Made:
    """One run, as both sides get it."""

    number: int
    experiment: str
    run_id: str = ""
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    dataset: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """The name, by which runs of both sides are compared."""
        return f"{NAMES[self.number % len(NAMES)]} {self.number}"

    @property
    def status(self) -> str:
        """The status at the end."""
        return STATUSES[self.number % 4]

    @property
    def start_ms(self) -> int:
        """When it starts: no two runs at the same time, because only then the order is certain."""
        return BEGIN_MS + (self.number * 7 % 40) * 1_000


def made_runs(experiments: list[str]) -> list[Made]:
    """Return the runs, which the experiments share."""
    runs = []
    for number in range(40):
        run = Made(number, experiments[number % len(experiments)])
        run.tags = {"mlflow.runName": run.name, "mlflow.user": ["ann", "bob"][number % 2]}
        if number % 3:
            run.params = {"lr": PARAMS[number % len(PARAMS)], "my key": f"v {number % 4}", "a.b/c-d": str(number % 6)}
            run.tags |= {
                "team": "xyz"[number % 3],
                "a b.c": NAMES[number % 7],
                "Case": "Upper" if number % 2 else "upper",
            }
        loss = LOSSES[number % len(LOSSES)]
        values = {"val/acc": number / 40, "m (x".replace("(", "-"): float(number % 4)} | (
            {} if loss is None else {"loss": loss}
        )
        run.metrics = [
            {"key": key, "value": value, "timestamp": run.start_ms + 5, "step": 3} for key, value in values.items()
        ]
        if number % 4 == 0:
            kind = ["train", "test", None][number % 3]
            tags = [
                {"key": "other", "value": "train"},
                *([{"key": "mlflow.data.context", "value": kind}] if kind else []),
            ]
            dataset = {"name": f"set {number % 5}", "digest": f"d{number % 3}", "source_type": "local", "source": "{}"}
            run.dataset = {"tags": tags, "dataset": dataset}
        runs.append(run)
    return runs


def send_to_stock(run: Made, post: Callable[[str, Any], Any]) -> None:
    """Make the run in a stock server, and take over its id."""
    tags = [{"key": key, "value": value} for key, value in run.tags.items()]
    about = {"experiment_id": run.experiment, "start_time": run.start_ms, "run_name": run.name, "tags": tags}
    run.run_id = post("runs/create", about | {"user_id": run.tags["mlflow.user"]})["run"]["info"]["run_id"]
    params = [{"key": key, "value": value} for key, value in run.params.items()]
    metrics = [one | {"value": _number(one["value"])} for one in run.metrics]
    post("runs/log-batch", {"run_id": run.run_id, "params": params, "metrics": metrics})
    if run.dataset:
        post("runs/log-inputs", {"run_id": run.run_id, "datasets": [run.dataset]})
    if run.status != "RUNNING":
        end = {"end_time": run.start_ms + 500_000 - run.number} if run.status in ENDS else {}
        post("runs/update", {"run_id": run.run_id, "status": run.status, **end})
    if run.number % 10 == 9:
        post("runs/delete", {"run_id": run.run_id})


def _number(value: float) -> float | str:
    return value if abs(value) < float("inf") else {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]


def written(run: Made) -> Iterator[Envelope]:
    """Yield the run as envelopes of the log."""
    author, at = Author(run.run_id), run.start_ms * 1_000
    opened = {"name": run.name, "experiment_id": run.experiment, "heartbeats": False}
    yield author.envelope(ev.RunStarted(time=at, **opened))
    yield author.envelope(ev.Tags(time=at, tags=run.tags))
    if run.params:
        yield author.envelope(
            ev.Params(time=at, params={key: StringValue(value=one) for key, one in run.params.items()})
        )
    for one in run.metrics:
        columns = {"steps": array("q", [one["step"]]), "times": array("q", [one["timestamp"] * 1_000])}
        series = ev.Series(name=one["key"], values=array("d", [one["value"]]), **columns)
        yield author.envelope(ev.Metrics(time=at, series=[series]))
    if run.dataset:
        name = "mlflow.dataset/{digest}/{name}".format(**run.dataset["dataset"])
        yield author.envelope(ev.RunLabels(time=at, labels={name: JsonValue(value=run.dataset)}))
    if run.status in ENDS:
        yield author.envelope(ENDS[run.status](time=at + (500_000 - run.number) * 1_000))
    if run.number % 10 == 9:
        yield author.envelope(ev.LifecycleStage(time=at, stage="deleted"))


def experiment(experiment_id: str, name: str, time: int) -> RegistryEnvelope:
    """Return the request that makes an experiment of this id."""
    about = Subject("experiments", experiment_id)
    return RegistryEnvelope(about, ProducerId(f"maker of {name}"), 0, time, ev.ExperimentCreated(time=time, name=name))


def names(answer: bytes) -> list[str]:
    """Return the names of the runs in an answer, in order."""
    return [run["info"]["run_name"] for run in json.loads(answer).get("runs", [])]
