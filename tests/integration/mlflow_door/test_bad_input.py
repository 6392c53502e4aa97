"""
Bad input, and odd input that is good: the door answers each request with the status and the code of a stock server.

Where MLflow's server fails (5xx, or it closes the connection), clients would repeat the request for minutes: the door
takes it, or refuses it with a status of 4xx. `DEVIATIONS` has all other differences and their reasons; docs/mlflow.md
lists them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pytest

from tests.support.mlflow_cases import API, Case, Target, cases
from tests.support.mlflow_door import MlflowDoor
from tests.support.mlflow_routes import TARGETS
from tests.support.mlflow_service import MlflowServer
from tests.support.mlflow_twins import Answer, Twin, twin
from tests.support.mlflow_wire_forms import ODD, OTHER_CLIENTS

EACH = 11  # of the requests of a route, one of so many is in the short form
REFUSED = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST", "ENDPOINT_NOT_FOUND"}


class Deviation(NamedTuple):
    """Requests that the door answers otherwise, on purpose."""

    path: str  # patterns of the end of a path, and of the name of a case
    case: str
    seen: tuple[int, str | None]
    reason: str


INVALID, OK, ABSENT = (400, "INVALID_PARAMETER_VALUE"), (200, None), (404, "RESOURCE_DOES_NOT_EXIST")
KEYLESS = r'(tags|params)=\[("x"|null|\[\]|\{\}|.*"key": (5|"").*|\{"value": "v"\})\]'
DEVIATIONS = [
    Deviation("", r".*\\ud800.*|with a surrogate", INVALID, "MLflow drops the field, and may change experiment 0"),
    Deviation("", r".*\\u0000.*|with NUL", INVALID, "PostgreSQL keeps no U+0000"),
    Deviation("", r".*\\u0000.*", ABSENT, "what has such a name was not created"),
    Deviation("", "a list", INVALID, "MLflow reads an empty list as an object without fields"),
    Deviation("", r"(start_time|end_time|timestamp)=(-1|-?9223372036854775\d+)", INVALID, "no time since 1970"),
    Deviation("runs/log-batch", r".*-?9223372036854775\d+.*|.* \((61|63|64)\)", INVALID, "no time since 1970"),
    Deviation("(runs/create|logged-models.*)", KEYLESS, INVALID, "a tag or parameter without a key"),
    Deviation("runs/create", r"no experiment_id|experiment_id=(null)?|empty|half|null|no UTF-8|two objects", OK,
              "a run without an experiment is in the default one; MLflow 3.17 with SQLite answers BAD_REQUEST"),
    Deviation("(runs/create|logged-models)", r"experiment_id=.*\\ud800.*", OK, "the same"),
    Deviation("runs/outputs", ".*", OK, "MLflow fails when the same output is logged again"),
    Deviation("metrics/get-history-bulk", "max_results=-1", INVALID, "MLflow leaves one point out"),
    Deviation("logged-models/search", r"max_results=-1|filter=name IN \(\)", INVALID, "MLflow finds nothing"),
    Deviation(r"logged-models/\{model_id\}.*", "a number|a text|true", INVALID, "MLflow does not read this body"),
    Deviation("artifacts/directories", "artifact_directory_path=(C:/x|file:///x)", OK, "a folder that is not there"),
    Deviation("get-artifact", r"path=\.?", (400, "BAD_REQUEST"), "no file is named"),
]  # fmt: skip


class Both(NamedTuple):
    stock: Twin
    door: Twin


@pytest.fixture(scope="module")
def both(stock: MlflowServer, door: MlflowDoor) -> Iterator[Both]:
    """The two servers, each with things that the requests name."""
    with twin(stock.url) as one, twin(door.url) as other:
        yield Both(one, other)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_sample_of_the_requests_of_a_route(target: Target, both: Both) -> None:
    made = list(cases(target))
    assert _differences(target.path, [*made[:1], *made[1::EACH]], both) == {}


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_all_requests_of_a_route(target: Target, both: Both) -> None:
    assert _differences(target.path, list(cases(target)), both) == {}


def test_requests_of_no_route_and_of_an_odd_form(both: Both) -> None:
    assert _differences("", ODD, both) == {}


def test_a_body_of_100_megabytes_is_refused_and_the_next_request_is_served(both: Both) -> None:
    body = b'{"run_id": "%s"}' % (b"x" * 100_000_000)
    answer = both.door.answer(Case("", "POST", f"{API}runs/log-metric", body))
    assert (answer.status, answer.code) in {(413, "BAD_REQUEST"), (0, "ConnectionResetError"), (0, "BrokenPipeError")}
    assert both.door.answer(Case("", "GET", f"{API}runs/get?run_id=$run")).status == 200


def test_what_java_r_and_older_clients_send(stock: MlflowServer, door: MlflowDoor) -> None:
    with twin(stock.url) as one, twin(door.url) as other:
        for case in OTHER_CLIENTS:
            theirs, ours = one.answer(case), other.answer(case)
            assert _agree("", case, theirs, ours), (case.name, theirs.shown, ours.shown)
            if theirs.status == 200:
                assert other.plain(ours) == one.plain(theirs), case.name


def _differences(path: str, made: Sequence[Case], both: Both) -> dict[str, tuple[str, str]]:
    """Return the requests that the two answer differently, with both answers."""
    found = {}
    for case in made:
        stock, door = both.stock.answer(case), both.door.answer(case)
        if not _agree(path, case, stock, door):
            found[case.name] = (stock.shown, door.shown)
    return found


def _agree(path: str, case: Case, stock: Answer, door: Answer) -> bool:
    if stock.status in (0, 308) or (stock.status >= 500 and stock.code != "NOT_IMPLEMENTED"):
        return door.status == 200 or (400 <= door.status < 500 and door.code in REFUSED)
    is_same = door.status == stock.status and (stock.code is None or door.code == stock.code)
    return is_same or any(
        re.search(f"{one.path}$", path) and re.fullmatch(one.case, case.name) and door.seen == one.seen
        for one in DEVIATIONS
    )
