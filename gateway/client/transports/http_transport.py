"""
Send records to a gateway server with `POST /v1/events`, for workers that cannot reach Kafka.

This uses the standard library alone. http.client blocks, and the shipper's loop must not, so each transport has one
daemon thread with one connection that is kept alive. Only one request is in flight at a time, which keeps the order.
The server answers when Kafka has acknowledged every record of the request, or takes none of them. docs/ingest.md
describes both sides.

What a response means for the events: 200, they are in the log. 413 or 422 naming a record: that record is refused for
good, and the others are sent again without it. 413 for the whole request: each half is sent by itself. Everything else
(401, 503, no response) raises Unsent: the events wait, and the same bytes are sent again.
"""

from __future__ import annotations

import asyncio
import encodings.idna  # noqa: F401 -- otherwise imported by the first name lookup, perhaps while training forks
import http.client
import json
import queue
import socket
import ssl
import threading
import zlib
from functools import partial
from urllib.parse import urlsplit

from gateway.client.errors import Unsent
from gateway.client.transports.transport import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from gateway.client.encoding.wire import Record

CONNECT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 30.0  # the server itself gives up on Kafka after 10 s and says so
MAX_ANSWER = 65_536  # bytes read of a response
MAX_PAUSE_S = 5.0  # the longest Retry-After that is followed; the shipper adds its own pauses
COMPRESSION = 1  # level of zlib: columns of numbers shrink to a third; 6 saves another tenth for four times the time


class HttpTransport:
    """One connection to a gateway server."""

    def __init__(self, url: str, *, token: str = "", ca: str = "") -> None:
        self._url = urlsplit(url)
        self._token = token
        self._ca = ca
        self._connection: http.client.HTTPConnection | None = None
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def open(self) -> None:
        """Connect. Raises Unsent."""
        self._connection = self._make_connection()
        self._thread = threading.Thread(target=self._run_jobs, name="gateway-http", daemon=True)
        self._thread.start()
        await self._in_thread(self._connect)

    async def send(self, records: Sequence[Record]) -> list[Refusal]:
        """Send the records in order and return those that the server will never take. Raises Unsent."""
        refusals: list[Refusal] = []
        waiting = [list(range(len(records)))]  # groups of record numbers; the last group is sent next
        while waiting:
            numbers = waiting.pop()
            body = encode_body([records[number] for number in numbers])
            status, answer, pause_s = await self._in_thread(partial(self._post, body))
            if status == 200 and answer.get("taken") == len(numbers):  # otherwise a portal or proxy answered
                continue
            if status in (413, 422) and 0 <= (at := _refused_index(answer)) < len(numbers):
                refusals.append(_refusal(numbers.pop(at), answer))
                waiting += [numbers] if numbers else []
            elif status == 413 and len(numbers) > 1:
                half = len(numbers) // 2
                waiting += [numbers[half:], numbers[:half]]
            elif status == 413:
                refusals.append(_refusal(numbers[0], answer))
            else:
                await asyncio.sleep(pause_s)
                raise _unsent(status, answer, has_token=bool(self._token))
        return sorted(refusals)

    async def close(self) -> None:
        """Close the connection. A request in flight ends without a response."""
        connection, self._connection = self._connection, None
        self._jobs.put(None)
        sock = connection.sock if connection is not None else None
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)  # wakes the thread if it waits for a response
            except OSError:
                return  # closed already

    async def _in_thread(self, job: Callable[[], Any]) -> Any:
        """Run `job` in the transport's thread and return its result."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()

        def resolve(value: Any, error: Exception | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(value)
            else:
                done.set_exception(error)

        def run() -> None:
            value: Any = None
            failure: Exception | None = None
            try:
                value = job()
            except Exception as error:  # noqa: BLE001 -- the edge of the thread: the shipper gets it, the events wait
                failure = error
            try:
                loop.call_soon_threadsafe(resolve, value, failure)
            except RuntimeError:
                return  # the loop is closed: nothing waits for the result any more

        self._jobs.put(run)
        return await done

    # In the transport's thread.

    def _run_jobs(self) -> None:
        connection = self._connection
        while (job := self._jobs.get()) is not None:
            job()
        if connection is not None:
            connection.close()

    def _make_connection(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=CONNECT_TIMEOUT_S)
        try:
            trust = ssl.create_default_context(cafile=self._ca or None)
        except OSError as error:  # ssl.SSLError is one
            raise Unsent(f"GATEWAY_TLS_CA {self._ca} cannot be used ({error})", step="name a PEM file") from error
        return http.client.HTTPSConnection(host, port, timeout=CONNECT_TIMEOUT_S, context=trust)

    def _connect(self) -> None:
        connection = self._connection
        if connection is None:
            raise Unsent("the connection is closed")
        try:
            connection.connect()
            connection.sock.settimeout(ANSWER_TIMEOUT_S)
        except ssl.SSLCertVerificationError as error:
            raise Unsent(
                f"its certificate is not trusted ({error.verify_message})",
                what="is not who it says",
                step="name its authority in GATEWAY_TLS_CA",
            ) from error
        except (OSError, ValueError) as error:
            raise Unsent(str(error) or repr(error)) from error

    def _post(self, body: bytes) -> tuple[int, dict[str, Any], float]:
        """Return the status, the response and the pause that the server asks for (s)."""
        connection = self._connection
        if connection is None:
            raise Unsent("the connection is closed")
        if connection.sock is None:  # the server announced that it closes it after the last response
            self._connect()
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip", "Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        packed = zlib.compress(body, COMPRESSION, wbits=31)
        try:
            connection.request("POST", f"{self._url.path.rstrip('/')}/v1/events", packed, headers)
            response = connection.getresponse()
            text = response.read(MAX_ANSWER)
            if response.read(1):
                connection.close()  # do not wait for the rest
            return response.status, _parse(text), _retry_after(response.getheader("Retry-After"))
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Unsent(str(error) or repr(error)) from error


def encode_body(records: Sequence[Record]) -> bytes:
    """Return the body of a request. Keys, headers and values stay as they are: the server does not re-encode them."""
    found = [
        {
            "key": record.key.decode(),
            "headers": {name: value.decode() for name, value in record.headers},
            "value": record.value.decode(),
        }
        for record in records
    ]
    return json.dumps({"records": found}, ensure_ascii=False, separators=(",", ":")).encode()


def _parse(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _refusal(number: int, answer: dict[str, Any]) -> Refusal:
    return Refusal(number, str(answer.get("error", "refused")))


def _refused_index(answer: dict[str, Any]) -> int:
    number = answer.get("record")
    return number if isinstance(number, int) and not isinstance(number, bool) else -1


def _retry_after(text: str | None) -> float:
    return min(float(text), MAX_PAUSE_S) if text and text.isascii() and text.isdecimal() else 0.0


def _unsent(status: int, answer: dict[str, Any], *, has_token: bool) -> Unsent:
    """Return the error that a response other than success means, in words for a person."""
    reason, step = str(answer.get("error", "")), str(answer.get("next", ""))
    why = f"HTTP {status}: {reason}" if reason else f"HTTP {status}"
    if status in (401, 403):
        what = "refused the token" if has_token else "asks for a token"
        return Unsent(why, what=what, step=step or "set GATEWAY_TOKEN to the server's", took_nothing=True)
    if status == 503:
        return Unsent(why, what="does not take events now", step="")  # it passes without action
    if not reason and status in (200, 301, 302, 307, 308, 404, 405):
        step = "no gateway server answers there: correct GATEWAY_URL"
    return Unsent(why, what="does not take events", step=step)
