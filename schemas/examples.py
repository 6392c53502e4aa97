"""
One golden example of every kind of event, written once and decoded by every later release.

`golden/v1/<kind>.json` holds key, headers and value of a record as version 1 wrote it. Tests decode every one of these
files. A file is never changed after a release, because logs keep such records forever.
"""

from __future__ import annotations

import json
import math
from array import array
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from schemas import events as ev
from schemas.columns import FloatArray
from schemas.subjects import Subject
from schemas.values import (
    BoolValue,
    DatetimeValue,
    FloatValue,
    Histogram,
    HistogramValue,
    IntValue,
    JsonValue,
    StringValue,
    Typed,
)
from schemas.wire import EncodedRecord, Envelope, ProducerId, RegistryEnvelope, RunId, encode

FOLDER = Path(__file__).parent / "golden"
TIME = 1_700_000_000_123_456  # µs: 2023-11-14T22:13:20.123456Z

_VALUES: dict[str, Typed] = {
    "learning_rate": FloatValue(value=0.1),
    "ceiling": FloatValue(value=math.inf),
    "layers": IntValue(value=3),
    "seed": IntValue(value=2**80),
    "amp": BoolValue(value=True),
    "optimizer": StringValue(value="adam"),
    "data_from": DatetimeValue(value=datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
    "eggs": JsonValue(value={"ham": "world", "share": {"$float": "NaN"}}),
    "weights": HistogramValue(value=Histogram(counts=array("d", [1, 2]), edges=array("d", [-1, 0, 1]))),
}


def _series(name: str, values: FloatArray, **fields: Any) -> ev.Series:
    times = array("q", range(TIME, TIME + len(values)))
    return ev.Series(name=name, steps=array("q", range(len(values))), times=times, values=values, **fields)


EVENTS: list[ev.AnyEvent] = [
    ev.RunCreated(time=TIME, name="brisk-otter-7", tag="digits", group="sweep-1", run_config={"executor": "local"}),
    ev.RunStarted(time=TIME, name="brisk-otter-7", tag="digits", group="sweep-1", parent_run_id="parent"),
    ev.RunResumed(time=TIME, attempt=2),
    ev.RunReopened(time=TIME),
    ev.RunFinished(time=TIME, batches=12),
    ev.RunFailed(time=TIME, message="ValueError: loss is NaN", batches=12),
    ev.RunKilled(time=TIME, message="SIGTERM"),
    ev.StepStarted(time=TIME, step_name="Emit Metrics", name="Emit Metrics"),
    ev.StepFinished(time=TIME, step_name="Emit Metrics", status="success"),
    ev.AttemptStarted(time=TIME, step_name="Emit Metrics", attempt=2),
    ev.AttemptFinished(time=TIME, step_name="Emit Metrics", attempt=2, status="fail", message="out of memory"),
    ev.Heartbeat(time=TIME),
    ev.ProducerClosed(time=TIME, batches=13, points=2_000, dropped=0),
    ev.Metrics(
        time=TIME,
        series=[
            _series("loss", array("d", [0.5, math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308])),
            _series("épochs 🎉", array("d", [1, 2]), integer=True, labels={"rank": "3", "subset": "train"}),
        ],
    ),
    ev.MetricRows(
        time=TIME,
        names=("grad/layer_0", "épochs 🎉", "grad/layer_1"),
        labels={"rank": "3"},
        integers=array("q", [1]),
        steps=array("q", [7, 8]),
        times=array("q", [TIME, TIME + 1]),
        values=[array("d", [0.5, 1, math.nan]), array("d", [-0.0, 2, math.inf])],
    ),
    ev.SystemMetrics(time=TIME, series=[_series("system/cpu_percent", array("d", [12.5]))]),
    ev.Values(
        time=TIME,
        step_name="Emit Metrics",
        values=[
            ev.Observation(name=name, step=number, time=TIME, value=value)
            for number, (name, value) in enumerate(_VALUES.items())
        ],
    ),
    ev.Params(time=TIME, params=_VALUES),
    ev.Tags(time=TIME, tags={"team": "vision", "émoji": "🎉"}),
    ev.RunLabels(time=TIME, labels={"accuracy": JsonValue(value={"format_string": "percentage"})}),
    ev.Note(time=TIME, text="Second try with warm-up."),
    ev.Artifact(time=TIME, name="model.pkl", uri="s3://bucket/model.pkl", size=1_024, sha256="0" * 64),
    ev.ConsoleText(time=TIME, stream="stderr", lines=["epoch 1", ""], times=array("q", [TIME, TIME + 1])),
    ev.CodeIdentity(time=TIME, code_identifier="0b62e4c661a4b4a2187afdf44a7c64520374202d"),
    ev.Environment(time=TIME, values={"command": JsonValue(value=["train.py", "--lr", "0.1"])}),
    ev.Deleted(time=TIME, what="tag", name="team"),
    ev.Renamed(time=TIME, what="series", old="loss", new="train/loss"),
    ev.LifecycleStage(time=TIME, stage="deleted"),
    ev.Moved(time=TIME, experiment_id="42", tag="digits"),
    ev.MetricDefined(
        time=TIME,
        name="val/*",
        goal="min",
        unit="nat",
        panel="Losses é",
        x="epoch",
        alarm="> 10 or nan",
        description="Cross entropy.",
        hidden=True,
        summary="min",
    ),
]

_SUBJECTS = {  # by the beginning of a kind
    "experiment_": Subject("experiments", "42"),
    "model_": Subject("models", "digits/é 1"),
    "logged_model_": Subject("logged_models", "m-1"),
    "view_": Subject("views", "losses"),
    "alert_rule_": Subject("alert_rules", "nan/é 1"),
}

REQUESTS: list[ev.RegistryEvent] = [
    ev.ExperimentCreated(time=TIME, name="digits", description="MNIST", tags={"team": "vision"}),
    ev.ExperimentRenamed(time=TIME, name="digits 2"),
    ev.ExperimentDescribed(time=TIME, description="MNIST, with augmentation."),
    ev.ExperimentTags(time=TIME, tags={"team": "vision", "émoji": "🎉", "old": None}),
    ev.ExperimentDeleted(time=TIME),
    ev.ExperimentRestored(time=TIME),
    ev.ModelRegistered(time=TIME, description="Digits of letters.", tags={"team": "vision"}),
    ev.ModelRenamed(time=TIME, name="digits 2"),
    ev.ModelDescribed(time=TIME, description="Digits of letters and cheques."),
    ev.ModelTags(time=TIME, tags={"team": "vision", "old": None}),
    ev.ModelDeleted(time=TIME),
    ev.ModelAliasSet(time=TIME, alias="champion", version=3),
    ev.ModelAliasDeleted(time=TIME, alias="champion"),
    ev.ModelVersionCreated(time=TIME, source="s3://bucket/model", run_id="run/1 é", tags={"dtype": "int8"}),
    ev.ModelVersionDescribed(time=TIME, version=3, description="With warm-up."),
    ev.ModelVersionTags(time=TIME, version=3, tags={"dtype": "int8", "old": None}),
    ev.ModelVersionStage(time=TIME, version=3, stage="Production", archive_existing=True),
    ev.ModelVersionDeleted(time=TIME, version=3),
    ev.LoggedModelCreated(
        time=TIME, experiment_id="42", name="digits", model_type="classifier", source_run_id="run/1 é",
        params={"depth": "7"}, tags={"team": "vision"},
    ),
    ev.LoggedModelStatus(time=TIME, status="ready"),
    ev.LoggedModelParams(time=TIME, params={"seed": "3"}),
    ev.LoggedModelTags(time=TIME, tags={"team": "vision", "old": None}),
    ev.LoggedModelDeleted(time=TIME),
    ev.LoggedModelArtifact(
        time=TIME, path="MLmodel", uri="s3://bucket/MLmodel", size=1_024, sha256="0" * 64, media_type="text/plain"
    ),
    ev.LoggedModelArtifactDeleted(time=TIME, path="data"),
    ev.LoggedModelMetrics(
        time=TIME,
        metrics=[
            ev.ModelPoint(name="loss", value=math.nan, time=TIME, step=3, run_id="run/1 é"),
            ev.ModelPoint(
                name="acc", value=0.5, time=TIME, run_id="run/1 é", dataset_name="digits", dataset_digest="1f"
            ),
        ],
    ),
    ev.ViewSaved(
        time=TIME, name="Losses é", type="workspace", body={"panels": [{"match": "loss", "log": True}], "x": None},
        description="Of all digits.", author="ada", based_on=3,
    ),
    ev.ViewDeleted(time=TIME, author="ada"),
    ev.AlertRuleSaved(time=TIME, name="Loss is NaN", body={"kind": "nan", "metric": "loss"}, enabled=False, based_on=0),
    ev.AlertRuleDeleted(time=TIME),
]  # fmt: skip


def records() -> dict[str, EncodedRecord]:
    """Return the record of each example, by kind."""
    producer = ProducerId("producer-1")
    about_runs = [Envelope(RunId("run/1 é"), producer, number, TIME, event) for number, event in enumerate(EVENTS)]
    requests = [
        RegistryEnvelope(_subject(event), producer, number, TIME, event) for number, event in enumerate(REQUESTS)
    ]
    envelopes: list[Envelope | RegistryEnvelope] = [*about_runs, *requests]
    return {envelope.event.kind: encode(envelope) for envelope in envelopes}


def _subject(event: ev.RegistryEvent) -> Subject:
    for family, subject in _SUBJECTS.items():
        if event.kind.startswith(family):
            return subject
    raise AssertionError(f"no subject for {event.kind}")


def to_json(record: EncodedRecord) -> str:
    """Return the text of a record's golden file."""
    headers = {name: value.decode() for name, value in record.headers}
    document = {"key": record.key.decode(), "headers": headers, "value": json.loads(record.value)}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def from_json(text: str) -> EncodedRecord:
    """Return the record of a golden file."""
    document = json.loads(text)
    headers = [(name, value.encode()) for name, value in document["headers"].items()]
    return EncodedRecord(document["key"].encode(), json.dumps(document["value"], ensure_ascii=False).encode(), headers)
