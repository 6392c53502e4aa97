"""Requests about experiments and models: what is written, what comes back, and what is refused before."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from gateway import experiments, models
from gateway.client.address import Address
from gateway.client.encoding.values import MAX_NAME
from gateway.client.encoding.wire import encode_request
from gateway.client.errors import AlreadyExists, ClientError, IsDeleted, NotDeleted, NotFound, RegistryError, Undecided
from gateway.client.ids import time_of, uuid7
from gateway.client.query import Api
from gateway.client.registry import arguments
from gateway.client.registry.connection import Registry, path_of
from gateway.client.registry.model_uri import ModelUri, parse_model_uri, parse_run_uri
from gateway.client.registry.outcomes import refusal
from gateway.client.registry.requests import decide
from gateway.client.registry.results import Experiment, Model
from gateway.client.shipping import immediate
from schemas import bounds, examples
from schemas.api import Experiment as ExperimentDocument
from schemas.api import ModelDocument
from schemas.events.models import Stage
from schemas.wire import RegistryEnvelope, decode, encode
from tests.support.client_harness import Memory

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
    assert {one.event.kind for one in requests} == {one.kind for one in examples.REQUESTS}

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


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("runs:/r1/model/a.pt", ("r1", "model/a.pt")),
        ("runs:/r1", ("r1", "")),
        ("runs:/r%2F1/a%20b/", ("r/1", "a b")),
        ("runs:/", None),
        ("s3://b/1", None),
    ],
)
def test_a_source_may_name_artifacts_of_a_run(uri: str, named: tuple[str, str] | None) -> None:
    assert parse_run_uri(uri) == named


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
LARGE = "remove tags, or store what they hold as an artifact"
DELETED = {"experiment_id": "1", "deleted": True}


@pytest.mark.parametrize(
    ("outcome", "kind", "reason", "result", "step"),
    [
        ("exists", AlreadyExists, "experiment 'x' exists, deleted", DELETED, f"{RESTORE}, or choose another name"),
        ("exists", AlreadyExists, "experiment 'x' exists", {}, "use that one, or choose another name"),
        ("deleted", IsDeleted, "experiment 'x' is deleted: restore it first", DELETED, RESTORE),
        ("active", NotDeleted, "experiment 'x' is not deleted", {}, "nothing has to be restored"),
        ("too_large", RegistryError, "the tags of experiment 'x' would", {}, LARGE),
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
        "tags": {}, "created": 1, "updated": 2, "run_link": "", "location": "",
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


@pytest.fixture
def answers() -> Iterator[tuple[Api, list[tuple[int, dict[str, object]]]]]:
    """An HTTP server, and the answers that it gives: one after the other, the last one again and again."""
    given: list[tuple[int, dict[str, object]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = given.pop(0) if len(given) > 1 else given[0]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Keep the output of the tests clean."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Api(f"http://127.0.0.1:{server.server_port}"), given
        server.shutdown()
        thread.join()


DONE: dict[str, object] = {
    "outcome": "done",
    "kind": "model_deleted",
    "subject_id": "m",
    "result": {"name": "m"},
    "reason": "",
}


def test_a_decision_is_waited_for_through_an_outage(
    answers: tuple[Api, list[tuple[int, dict[str, object]]]], memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, given = answers
    monkeypatch.setattr(immediate, "make_transport", lambda _: memory)
    registry = Registry(Address("kafka://memory:1", "t"), api)
    given += [(504, {"error": "not yet"}), (503, {"error": "away"}), (502, {}), (504, {}), (200, DONE)]

    assert decide(registry, "models", "m", {"kind": "model_deleted"}, None, 30.0) == {"name": "m"}
    assert [(one.key, dict(one.headers)["ce_id"]) for one in memory.sent] == [(b"/models", b"0")]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (
            (504, {"error": "not yet"}),
            r"\(not yet\): check with `gateway status` .* whether the request is among the dead letters",
        ),
        ((503, {"error": "away"}), r"\(away\)"),
        (
            (404, {"error": "Not Found"}),
            r"decisions \(Not Found\): correct GATEWAY_LIVE_URL, or update it",
        ),
        ((200, {"html": 1}), r"does not know decisions"),
        ((401, {"error": "no token", "next": "set it"}), r"does not tell the decision \(no token\): set it"),
    ],
)
def test_without_a_decision_the_error_has_the_id_with_which_to_ask_again(
    answers: tuple[Api, list[tuple[int, dict[str, object]]]],
    memory: Memory,
    monkeypatch: pytest.MonkeyPatch,
    answer: tuple[int, dict[str, object]],
    why: str,
) -> None:
    api, given = answers
    given.append(answer)
    monkeypatch.setattr(immediate, "make_transport", lambda _: memory)

    with pytest.raises(Undecided, match=why) as caught:
        decide(Registry(Address("kafka://memory:1", "t"), api), "models", "m", {"kind": "model_deleted"}, None, 0.3)

    assert dict(memory.sent[0].headers)["ce_source"].decode() == f"/models/m/producers/{caught.value.request_id}"


def test_a_request_that_may_be_in_the_log_can_be_repeated_with_the_same_bytes(
    answers: tuple[Api, list[tuple[int, dict[str, object]]]], memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, given = answers
    memory.failures = 1_000
    monkeypatch.setattr(immediate, "make_transport", lambda _: memory)
    registry, body = Registry(Address("kafka://memory:1", "t"), api), {"kind": "model_deleted"}
    given.append((504, {}))

    with pytest.raises(Undecided, match="the log may or may not have the request: repeat it with") as caught:
        decide(registry, "models", "m", body, None, 0.2)
    memory.failures = 0
    given[:] = [(504, {}), (200, DONE)]
    assert decide(registry, "models", "m", body, caught.value.request_id, 5.0) == {"name": "m"}

    assert len({(one.key, one.value, one.headers) for one in memory.sent}) == 1
    given[:] = [(200, DONE)]
    with pytest.raises(ClientError, match=r"was about 'm' \(model_deleted\): an id is of one request only"):
        decide(registry, "models", "other", body, caught.value.request_id, 5.0)


def test_the_id_of_another_creation_is_an_error_and_not_its_result(
    answers: tuple[Api, list[tuple[int, dict[str, object]]]],
) -> None:
    api, given = answers
    registry = Registry(Address("kafka://memory:1", "t"), api)
    made = {**DONE, "kind": "experiment_created", "subject_id": "job", "result": {"experiment_id": "job", "name": "a"}}
    given[:] = [(200, made)]
    with pytest.raises(ClientError, match="request job was about an experiment named 'a': an id is of one request"):
        experiments.create("b", request_id="job", registry=registry)

    version = {
        "name": "m", "version": 1, "source": "s3://a", "run_id": "", "stage": "None", "aliases": [], "description": "",
        "tags": {}, "created": 1, "updated": 2,
    }  # fmt: skip
    done = (200, {**DONE, "kind": "model_version_created", "result": {"name": "m", "version": 1}})
    given[:] = [done, (200, version)]
    assert models.create_version("m", "s3://a", request_id="job", registry=registry).version == 1
    given[:] = [done, (200, version)]
    with pytest.raises(ClientError, match="request job was about version 1 with the source 's3://a': an id is of one"):
        models.create_version("m", "s3://b", request_id="job", registry=registry)


def test_a_request_that_is_too_long_is_not_written(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(immediate, "make_transport", lambda _: memory)
    registry = Registry(Address("kafka://memory:1", "t"), Api("http://127.0.0.1:1"))

    with pytest.raises(ClientError, match=r"has 1,000,\d+ bytes, and may have 1,000,000: shorten its texts"):
        decide(registry, "models", "m", {"kind": "model_described", "description": "x" * 1_000_000}, None, 5.0)

    assert memory.sent == []
