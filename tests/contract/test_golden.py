"""Every record ever written can be read: golden files, published schemas and models agree."""

from __future__ import annotations

import json
import typing
from pathlib import Path

import jsonschema
import pytest

import schemas
from schemas import examples
from schemas.__main__ import documents
from schemas.events import AlertRuleEvent, AnyEvent, ExperimentEvent, LoggedModelEvent, ModelEvent, ViewEvent
from schemas.wire import decode, encode

FOLDER = Path(schemas.__file__).parent
DOCUMENTS = documents()  # made once: it takes 0.2 s
GOLDEN = sorted((FOLDER / "golden").glob("v*/*.json"))
UNIONS = (AnyEvent, ExperimentEvent, ModelEvent, LoggedModelEvent, ViewEvent, AlertRuleEvent)
REQUESTS = ("experiment_", "model_", "logged_model_", "view_", "alert_rule_")  # how their kinds begin
KINDS = sorted(
    one.model_fields["kind"].default for union in UNIONS for one in typing.get_args(typing.get_args(union)[0])
)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_golden_record_decodes_and_means_what_it_meant(path: Path) -> None:
    golden = examples.from_json(path.read_text(encoding="utf-8"))

    envelope = decode(golden.key, golden.value, golden.headers)

    written = encode(envelope)
    assert encode(decode(written.key, written.value, written.headers)) == written
    assert json.loads(written.value).items() >= json.loads(golden.value).items()  # there may be new optional fields
    assert sorted(written.headers) == sorted(golden.headers)
    assert envelope.event.kind == path.stem


def test_every_kind_of_event_has_a_golden_record() -> None:
    kinds = sorted(path.stem for path in GOLDEN if path.parent.name == "v1")

    assert kinds == KINDS, "add it to schemas/examples.py, then run: python -m schemas export schemas"


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_the_published_schema_is_the_one_of_the_models(name: str) -> None:
    published = json.loads((FOLDER / "jsonschema" / name).read_text(encoding="utf-8"))

    assert published == DOCUMENTS[name], "run: python -m schemas export schemas"


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_the_published_schema_is_a_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(DOCUMENTS[name])


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_events_fit_the_published_schema(path: Path) -> None:
    schema = DOCUMENTS["registry.v1.json" if path.stem.startswith(REQUESTS) else "events.v1.json"]

    jsonschema.Draft202012Validator(schema).validate(json.loads(path.read_text(encoding="utf-8"))["value"])
