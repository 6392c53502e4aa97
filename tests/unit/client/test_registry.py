"""Requests about experiments and models: what is written, what comes back, and what is refused before."""

from __future__ import annotations

import pytest

from gateway.client.encoding.values import MAX_NAME
from gateway.client.encoding.wire import encode_request
from gateway.client.errors import AlreadyExists, ClientError, IsDeleted, NotDeleted, NotFound
from gateway.client.ids import time_of, uuid7
from gateway.client.registry import arguments
from gateway.client.registry.connection import path_of
from gateway.client.registry.model_uri import ModelUri, parse_model_uri
from gateway.client.registry.outcomes import refusal
from gateway.client.registry.results import Experiment, Model
from schemas import bounds, examples
from schemas.api import Experiment as ExperimentDocument
from schemas.api import ModelDocument
from schemas.events.models import Stage
from schemas.wire import RegistryEnvelope, decode, encode

NAMES = ["digits", "a/b", "%2F", "é ü", "..", "?#&", "\n"]


@pytest.mark.parametrize("name", NAMES)
def test_a_request_is_what_the_contract_reads(name: str) -> None:
    producer = uuid7()
    body = {"kind": "model_version_created", "time": time_of(producer), "source": f"s3://{name}", "tags": {name: name}}

    made = encode_request("models", name, producer, body)
    found = decode(made.key, made.value, made.headers)

    assert isinstance(found, RegistryEnvelope)
    assert (found.subject.id, found.producer, found.seq, found.event.tags) == (name, producer, 0, {name: name})  # type: ignore[union-attr]
    assert encode_request("models", name, producer, body).value == made.value
    assert encode(found).headers == list(made.headers)


def test_every_kind_of_request_is_written_as_the_contract_writes_it() -> None:
    decoded = [decode(one.key, one.value, one.headers) for one in examples.records().values()]
    requests = [one for one in decoded if isinstance(one, RegistryEnvelope)]
    assert len({one.event.kind for one in requests}) == 18

    for one in requests:
        record = encode(one)
        made = encode_request(one.subject.collection, one.subject.id, one.producer, one.event.model_dump(mode="json"))
        assert (made.key, made.headers[:3]) == (record.key, tuple(record.headers[:3]))
        assert decode(made.key, made.value, made.headers).event == one.event


def test_the_time_of_an_id_is_in_it() -> None:
    assert time_of("01890a5d-ac96-774b-bcce-b302099a8057") == 0x01890A5DAC96 * 1_000
    assert [time_of(one) for one in ("", "job 7", "0" * 36, "01890a5d-ac96-474b-bcce-b302099a8057", "-" * 36)] == [
        None
    ] * 5


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("models:/iris_classifier/Production", ModelUri("iris_classifier", stage="Production")),  # seed 004
        ("models:/digits/production", ModelUri("digits", stage="Production")),
        ("models:/digits/3", ModelUri("digits", version=3)),
        ("models:/digits/latest", ModelUri("digits")),
        ("models:/digits@best", ModelUri("digits", alias="best")),
        ("models:/digits/@best", ModelUri("digits", alias="best")),
        ("models:/a/b/3", ModelUri("a/b", version=3)),
        ("models:/a%2F3%40x/3", ModelUri("a/3@x", version=3)),
        ("models:/a@b/3", ModelUri("a@b", version=3)),
        ("models:/a@b@c", ModelUri("a@b", alias="c")),
        ("models:/digits@the%2Fbest", ModelUri("digits", alias="the/best")),
    ],
)
def test_a_uri_names_a_version(uri: str, named: ModelUri) -> None:
    assert parse_model_uri(uri) == named


@pytest.mark.parametrize(
    "uri", ["", "digits/3", "models:/", "models:/digits", "models:/digits/", "models:/digits/x", "models:/@a",
            "models:/digits@", "models://digits/x", "runs:/1/model", "models:/digits/0", "models:/digits/99999999999"]
)  # fmt: skip
def test_what_names_no_version_is_refused(uri: str) -> None:
    with pytest.raises(ClientError, match=r"does not name a version of a model: write models:/NAME|is no number of a"):
        parse_model_uri(uri)


def test_bounds_and_stages_are_those_of_the_contract() -> None:
    assert (MAX_NAME, arguments.MAX_ID) == (bounds.MAX_NAME, bounds.MAX_RUN_ID)
    assert (MAX_NAME, arguments.MAX_ID_BYTES) == (bounds.MAX_NAME_BYTES, bounds.MAX_RUN_ID_BYTES)
    assert set(arguments.STAGES) == set(Stage.__args__)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("tags", "answer"),
    [
        ({"a": 1}, "the value of tag 'a' is int: give text"),
        ({"": "x"}, "a tag is empty"),
        ({"a": "x\x00"}, "U\\+0000"),
        ({1: "x"}, "a tag is int"),
        ("a=b", "tags are str: give a dict of texts"),
    ],
)
def test_tags_are_texts(tags: object, answer: str) -> None:
    with pytest.raises(ClientError, match=answer):
        arguments.check_tags(tags)  # type: ignore[arg-type]  # what callers pass


@pytest.mark.parametrize("version", [0, -1, True, 1.0, "x", "", None, 2**31, "²"])
def test_what_is_no_number_of_a_version_is_refused(version: object) -> None:
    with pytest.raises(ClientError, match="is no number of a version: give an integer from 1"):
        arguments.check_version(version)


RESTORE = "restore it with `gateway experiments restore 1`"
LIST = "list them with `gateway experiments list`, or create the experiment first"
DELETED = {"experiment_id": "1", "deleted": True}


@pytest.mark.parametrize(
    ("outcome", "kind", "reason", "result", "step"),
    [
        ("exists", AlreadyExists, "experiment 'x' exists, deleted", DELETED, f"{RESTORE}, or choose another name"),
        ("exists", AlreadyExists, "experiment 'x' exists", {}, "use that one, or choose another name"),
        ("deleted", IsDeleted, "experiment 'x' is deleted: restore it first", DELETED, RESTORE),
        ("active", NotDeleted, "experiment 'x' is not deleted", {}, "nothing has to be restored"),
        ("absent", NotFound, "there is no experiment with the id '1'", {}, LIST),
    ],
)
def test_each_refusal_says_what_to_do(
    outcome: str, kind: type[Exception], reason: str, result: dict[str, object], step: str
) -> None:
    about = {"collection": "experiments", "kind": "experiment_created", "subject_id": "1"}

    error = refusal({"outcome": outcome, "reason": reason, "result": result, **about})

    assert (type(error), str(error), error.result) == (kind, f"{reason.partition(': ')[0]}: {step}", result)


def test_results_are_the_documents_of_the_api() -> None:
    experiment = {
        "experiment_id": "1", "name": "x", "former_names": ["y"], "state": "deleted", "description": "d",
        "artifact_location": "", "tags": {"a": "b"}, "created": 1, "updated": 2,
    }  # fmt: skip
    version = {
        "name": "m", "version": 1, "source": "s", "run_id": "", "stage": "None", "aliases": ["a"], "description": "",
        "tags": {}, "created": 1, "updated": 2,
    }  # fmt: skip
    model = {
        "name": "m", "description": "", "tags": {}, "aliases": {"a": 1}, "versions": 1, "created": 1, "updated": 2,
        "latest": [version],
    }  # fmt: skip

    given = Experiment.from_document({**experiment, "new field": 1}).to_document()
    assert ExperimentDocument.model_validate(given).model_dump() == experiment
    assert ModelDocument.model_validate(Model.from_document(model).to_document()).model_dump() == model


@pytest.mark.parametrize("name", NAMES)
def test_a_path_holds_any_name_as_one_part(name: str) -> None:
    assert path_of("models", name, "versions", 3).count("/") == 5
