"""The reader of the query API: what it asks for, and what each kind of answer becomes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gateway.client import query
from gateway.client.query import DEFAULT_API, ApiRefused, ApiUnavailable, ask, find_api, get, run_path, stream

ANSWERS = {
    "/v1/runs?limit=2": (200, '{"runs": []}'),
    "/v1/runs/a%2Fb/received?producer=p&below=3&timeout_s=0.300": (504, '{"error": "not yet", "next": "wait"}'),
    "/refused": (400, '{"error": "no such thing", "next": "name another"}'),
    "/away": (503, '{"error": "PostgreSQL is away", "next": "wait"}'),
    "/late?min_offsets=0%3A9&timeout_s=30.0": (504, '{"error": "not folded", "next": "ask again"}'),
    "/html": (404, "<html>"),
    "/list": (200, "[1]"),
    "/v1/stream?since=0%3A1": (200, ': ping\n\nid: 0:2\ndata: {"kind": "a"}\n\nid: 0:3\ndata: {"kind": "b"}\n\n'),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = ANSWERS[self.path]
        if "late" in self.path:
            threading.Event().wait(0.2)  # longer than other answers may take in that test
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Keep the output of the tests clean."""


@pytest.fixture
def api() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_parameters_that_are_none_are_left_out(api: str) -> None:
    assert get(api, "/v1/runs", limit=2, where=None) == {"runs": []}


def test_an_answer_of_any_status_is_given_back_with_its_document(api: str) -> None:
    found = ask(api, run_path("a/b", "received"), 5.0, producer="p", below=3, timeout_s="0.300")

    assert found == (504, {"error": "not yet", "next": "wait"})


@pytest.mark.parametrize(("path", "status"), [("/html", 404), ("/list", 200)])
def test_a_body_that_is_no_object_is_an_empty_document(api: str, path: str, status: int) -> None:
    assert ask(api, path, 5.0) == (status, {})


def test_a_refusal_is_in_the_words_of_the_api(api: str) -> None:
    with pytest.raises(ApiRefused, match=r"^no such thing: name another$"):
        get(api, "/refused")


def test_an_answer_may_take_as_long_as_was_asked_for_and_what_is_not_folded_by_then_may_be_later(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "ANSWER_TIMEOUT_S", 0.05)

    with pytest.raises(ApiUnavailable, match=r"^not folded: ask again$"):
        get(api, "/late", min_offsets="0:9", timeout_s=30.0)


def test_503_is_an_outage(api: str) -> None:
    with pytest.raises(ApiUnavailable, match=r"^PostgreSQL is away: wait$") as caught:
        get(api, "/away")

    assert caught.value.problem == "PostgreSQL is away"


def test_an_answer_of_another_server_asks_for_the_right_address(api: str) -> None:
    with pytest.raises(ApiRefused, match=r"answers 404 Not Found: correct GATEWAY_LIVE_URL$"):
        get(api, "/html")


def test_no_server_is_an_outage() -> None:
    with pytest.raises(ApiUnavailable, match=r"^the API at http://127.0.0.1:1 cannot be reached .*: start it with"):
        get("http://127.0.0.1:1", "/healthz")


def test_a_stream_gives_each_event_with_its_position(api: str) -> None:
    assert list(stream(api, since="0:1")) == [("0:2", {"kind": "a"}), ("0:3", {"kind": "b"})]


def test_the_address_comes_from_the_environment_first(tmp_path: object) -> None:
    environ = {"GATEWAY_HOME": str(tmp_path), "GATEWAY_LIVE_URL": "http://a:1/", "GATEWAY_LIVE_PORT": "2"}

    assert find_api(environ) == "http://a:1"


def test_without_any_setting_the_address_is_the_default(tmp_path: object) -> None:
    assert find_api({"GATEWAY_HOME": str(tmp_path)}) == DEFAULT_API


def test_the_address_of_the_local_stack_is_read_from_its_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("home")
    (home / "stack.json").write_text(json.dumps({"settings": {"live_port": 8701}}), encoding="utf-8")

    assert find_api({"GATEWAY_HOME": str(home)}) == "http://127.0.0.1:8701"


def test_a_token_goes_to_an_address_of_its_own_source_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    env = {"GATEWAY_HOME": str(tmp_path), "GATEWAY_TOKEN": "secret"}
    (tmp_path / "stack.json").write_text('{"settings": {"live_host": "0.0.0.0", "live_port": 8701, "token": "own"}}')

    assert [find_api(one).token for one in (env, {"GATEWAY_HOME": str(tmp_path)})] == ["secret", "own"]
    assert find_api({**env, "GATEWAY_LIVE_URL": "http://runs:1"}).token == "secret"

    (tmp_path / "gateway.toml").write_text('live_url = "http://stranger:1"\n')
    found = find_api(env)
    assert (found, found.token) == ("http://stranger:1", "")
    assert find_api({**env, "GATEWAY_CONFIG": str(tmp_path / "gateway.toml")}).token == "secret"


@pytest.mark.parametrize(
    "address", ["http://h:abc", "http://[::1", "http://h:99999", "nonsense", "ftp://h", "http://me:pass#word@h"]
)
def test_an_address_that_is_none_is_refused_without_its_password(address: str) -> None:
    with pytest.raises(ApiRefused, match="correct GATEWAY_LIVE_URL") as caught:
        get(address, "/v1/runs")

    assert "pass" not in str(caught.value)


def test_another_server_is_named_as_that(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ANSWERS, "/page", (200, "<html>"))

    with pytest.raises(ApiRefused, match="another server"):
        get(api, "/page")


def test_an_ipv6_address_is_written_in_brackets(tmp_path: Path) -> None:
    environ = {"GATEWAY_HOME": str(tmp_path), "GATEWAY_LIVE_HOST": "::1", "GATEWAY_LIVE_PORT": "8700"}

    assert find_api(environ) == "http://[::1]:8700"
