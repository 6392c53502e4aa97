"""
Read the query API over HTTP: `barrier`, the command line and the demo ask it here.

Standard library only, and `http.client` is loaded at the first request, because a process that only emits sends none.
Not `urllib.request`: a proxy in the environment must not see requests to this machine.

    ClientError
    +- ApiUnavailable   the API does not answer, or answers that it cannot now (503); asking again may help
    +- ApiRefused       the API refuses the request; the message is the API's own
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from urllib.parse import quote, urlencode, urlsplit

from gateway.client.address import read_toml
from gateway.client.errors import ClientError
from gateway.client.stack_file import settings_of_stack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from http.client import HTTPConnection, HTTPResponse
    from typing import Any
    from urllib.parse import SplitResult

DEFAULT_API = "http://127.0.0.1:8700"
ANSWER_TIMEOUT_S = 20.0
QUIET_TIMEOUT_S = 45.0  # of a stream: the API sends a sign of life every 5 s
MAX_ANSWER_BYTES = 1_000_000  # of an answer to `ask`
CORRECT_ADDRESS = "correct GATEWAY_LIVE_URL"


class ApiUnavailable(ClientError):
    """
    The query API does not answer, or answers that it cannot now (503, 504); asking again may help.

    `problem` is the message without its next step.
    """

    def __init__(self, problem: str, step: str) -> None:
        super().__init__(f"{problem}: {step}")
        self.problem = problem


class ApiRefused(ClientError):
    """The query API refuses the request; asking again does not help. `status` is that of HTTP, 0 without an answer."""

    def __init__(self, text: str, *, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class Api(str):
    """The address of an API, with the token to send there; "" for none."""

    __slots__ = ("token",)
    token: str

    def __new__(cls, url: str, token: str = "") -> Api:
        """Return the address."""
        api = super().__new__(cls, url)
        api.token = token
        return api


def find_api(environ: Mapping[str, str] | None = None, *, home: str = "") -> Api:
    """
    Return the address of the API: GATEWAY_LIVE_URL, gateway.toml, or the local stack's. Raises ClientError.

    A token goes only to an address from the same source, or from one that is trusted as much: somebody who can put a
    gateway.toml into the working directory must not learn the token of the environment.
    """
    env = dict(os.environ if environ is None else environ)
    toml = read_toml(env.get("GATEWAY_CONFIG") or "")
    home = home or env.get("GATEWAY_HOME") or str(toml.get("home") or "")
    stack = settings_of_stack(home, env)
    variables = {name: env.get(f"GATEWAY_{name.upper()}") for name in ("live_url", "live_host", "live_port", "token")}
    is_chosen = bool(env.get("GATEWAY_CONFIG"))  # not merely found in the working directory
    for source, secrets in (
        (variables, (variables,)),
        (toml, (variables, toml) if is_chosen else (toml,)),
        (stack, (variables, stack)),
    ):
        token = next((str(one["token"]) for one in secrets if one.get("token")), "")
        if source.get("live_url"):
            return Api(str(source["live_url"]).rstrip("/"), token)
        if source.get("live_port"):
            host = str(source.get("live_host") or "127.0.0.1")
            return Api(f"http://{f'[{host}]' if ':' in host else host}:{source['live_port']}", token)
    return Api(DEFAULT_API)


def api_at(url: str, home: str = "") -> Api:
    """Return this address with the token that `find_api` finds for it, or with none."""
    found = find_api(home=home)
    return found if found == url else Api(url)


def run_path(run_id: str, document: str) -> str:
    """Return the path of a document of a run; the id may hold any character."""
    return f"/v1/runs/{quote(run_id, safe='', errors='replace')}/{document}"


def get(api: str, path: str, /, **parameters: Any) -> Any:
    """
    Return the JSON document at a path of the API. Parameters that are None are left out.

    Raises ApiUnavailable when the API does not answer, or answers 503, or 504: what was asked for is not folded within
    `timeout_s`. Raises ApiRefused for every other error status.
    """
    timeout_s = ANSWER_TIMEOUT_S + float(parameters.get("timeout_s") or 0)
    with _request(api, _target(path, parameters), timeout_s) as response:
        _check(api, response)
        try:
            return json.loads(response.read())
        except ValueError:
            raise ApiRefused(f"{_shown(api)} is another server than the API: {CORRECT_ADDRESS}") from None


def post(
    api: str, path: str, question: Mapping[str, Any], *, method: str = "POST", headers: Mapping[str, str] | None = None
) -> Any:
    """
    Return the JSON document that answers a question, which is a JSON object. Raises as `get` does.

    Questions have a body where they may name thousands of runs; they change nothing unless their route says so.
    """
    body = json.dumps(question, allow_nan=False).encode()
    timeout_s = ANSWER_TIMEOUT_S + float(question.get("timeout_s") or 0)
    with _request(api, path, timeout_s, body, method, headers or {}) as response:
        _check(api, response)
        try:
            return json.loads(response.read())
        except ValueError:
            raise ApiRefused(f"{_shown(api)} is another server than the API: {CORRECT_ADDRESS}") from None


def ask(api: str, path: str, timeout_s: float, /, **parameters: Any) -> tuple[int, dict[str, Any]]:
    """
    Return the status and the document of an answer, whatever the status; {} where the body is no JSON object.

    Raises ApiUnavailable when the API does not answer.
    """
    with _request(api, _target(path, parameters), timeout_s) as response:
        try:
            document = json.loads(response.read(MAX_ANSWER_BYTES))
        except ValueError:
            document = {}
        return response.status, document if isinstance(document, dict) else {}


def stream(api: str, /, **parameters: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (position, event) of the event stream until the API ends it. Raises as `get` does."""
    return ((position, event) for position, event in signs(api, **parameters) if event is not None)


def signs(
    api: str, /, quiet_s: float = QUIET_TIMEOUT_S, **parameters: Any
) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """
    Yield what `stream` does, and (position, None) for each sign of life in between, about every 5 s.

    Raises ApiUnavailable, too, after `quiet_s` without either.
    """
    with _request(api, _target("/v1/stream", parameters), quiet_s) as response:
        _check(api, response)
        for _, position, data in _events(response):
            yield position, data


def events(
    api: str, topics: Mapping[str, Any], quiet_s: float = QUIET_TIMEOUT_S
) -> Iterator[tuple[str, str, dict[str, Any] | None]]:
    """
    Yield (kind, position, data) of each event about these topics, a body of `POST /v1/stream`; "" is a sign of life.

    Raises as `signs` does.
    """
    body = json.dumps(topics, allow_nan=False).encode()
    with _request(api, "/v1/stream", quiet_s, body, "POST") as response:
        _check(api, response)
        yield from _events(response)


def _events(response: HTTPResponse) -> Iterator[tuple[str, str, dict[str, Any] | None]]:
    """Yield kind, position and data of server-sent events; None for those without data, and comments."""
    kind, position, data = "", "", ""
    while line := response.readline():
        field, _, value = line.decode("utf-8").rstrip("\r\n").partition(":")
        if field == "id":
            position = value.strip()
        elif field == "event":
            kind = value.strip()
        elif field == "data":
            data += value.strip()
        elif not field:
            yield kind, position, json.loads(data) if data else None
            kind, data = "", ""


class ApiBytes:
    """The bytes of an answer from an offset on, or a redirect. It has what readers use of a file."""

    def __init__(self, api: str, target: str, offset: int) -> None:
        import http.client

        self._api, self._errors = api, (OSError, http.client.HTTPException)
        self._connection = _connect(api, QUIET_TIMEOUT_S)
        try:
            headers = {**_headers(api), "Accept": "*/*", "Range": f"bytes={offset}-"}
            self._connection.request("GET", _path(api, target), headers=headers)
            self._response = self._connection.getresponse()
            self.location = (self._response.getheader("Location") or "") if self._response.status == 307 else ""
            if self._response.status not in (206, 307):
                _check(api, self._response)
                while offset and (data := self.read(min(offset, 65_536))):  # a proxy in between knows no ranges
                    offset -= len(data)
        except self._errors as error:
            self.close()
            raise _away(api, error) from error
        except ClientError:
            self.close()
            raise

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; b"" at the end. Raises ApiUnavailable, also where the answer ends too early."""
        try:
            data = self._response.read(size)
        except self._errors as error:
            raise _away(self._api, error) from error
        if not data and size and self._response.length:
            raise _away(self._api, ConnectionError("the answer ended too early"))
        return data

    def header(self, name: str) -> str:
        """Return a header of the answer; "" if it has none of this name."""
        return self._response.getheader(name) or ""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> ApiBytes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_bytes(api: str, path: str, offset: int, /, **parameters: Any) -> ApiBytes:
    """
    Return the bytes at a path of the API, from an offset on; the caller closes it, and follows its `location`, if any.

    Raises ApiUnavailable, and ApiRefused.
    """
    return ApiBytes(api, _target(path, parameters), offset)


def _target(path: str, parameters: Mapping[str, Any]) -> str:
    given = {name: value for name, value in parameters.items() if value is not None}
    return f"{path}?{urlencode(given, doseq=True, errors='replace')}" if given else path


@contextmanager
def _request(
    api: str,
    target: str,
    timeout_s: float,
    body: bytes | None = None,
    method: str = "GET",
    more: Mapping[str, str] | None = None,
) -> Iterator[HTTPResponse]:
    """Send a request and give the response to the block, which reads it. Raises ApiUnavailable, also for the block."""
    import http.client

    connection = _connect(api, timeout_s)
    try:
        headers = {**_headers(api), **({} if body is None else {"Content-Type": "application/json"}), **(more or {})}
        connection.request(method, _path(api, target), body, headers)
        yield connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise _away(api, error) from error
    finally:
        connection.close()


def _connect(api: str, timeout_s: float) -> HTTPConnection:
    import http.client

    address, port = _split(api)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    return kind(address.hostname or "", port, timeout=timeout_s)


def _path(api: str, target: str) -> str:
    return _split(api)[0].path + target


def _headers(api: str) -> dict[str, str]:
    token = getattr(api, "token", "")
    headers = {"Accept": "application/json, text/event-stream"}
    return {**headers, "Authorization": f"Bearer {token}"} if token else headers


def _away(api: str, error: Exception) -> ApiUnavailable:
    problem = f"the API at {_shown(api)} cannot be reached ({error or type(error).__name__})"
    return ApiUnavailable(problem, f"start it with `gateway up`, or {CORRECT_ADDRESS}")


def _split(api: str) -> tuple[SplitResult, int | None]:
    try:
        address = urlsplit(api)
        port = address.port
    except ValueError:  # its text may name a part of a password
        raise ApiRefused(f"the address of the API, {_shown(api)}, is not one: {CORRECT_ADDRESS}") from None
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ApiRefused(f"the address of the API, {_shown(api)}, is not http(s)://host:port: {CORRECT_ADDRESS}")
    return address, port


def _shown(api: str) -> str:
    """Return an address without what may be a user and a password."""
    return f"{api.partition('://')[0]}://{api.rpartition('@')[2]}" if "@" in api else str(api)


def _check(api: str, response: HTTPResponse) -> None:
    """Raise the error that an answer other than 200 stands for, in the API's own words where it gives them."""
    if response.status == 200:
        return
    try:
        answer = json.loads(response.read())
        problem, step = str(answer["error"]), str(answer["next"])
    except (ValueError, KeyError, TypeError):
        problem, step = f"{_shown(api)} answers {response.status} {response.reason}", CORRECT_ADDRESS
    if response.status in (503, 504):
        raise ApiUnavailable(problem, step)
    raise ApiRefused(f"{problem}: {step}", status=response.status)
