"""
A store behind a gateway server, for workers that reach nothing else. Standard library only.

    HEAD /v1/artifacts/sha256/<hex>  200 with Content-Length, or 404, with Upload-Offset: 5 if it keeps 5 bytes
                                     of an interrupted upload
    PUT /v1/artifacts/sha256/<hex>   the bytes, or with `Content-Range: bytes 5-9/10` those that are missing:
                                     201 stored, 200 was there, 409 another Upload-Offset, 422 other bytes
    GET /v1/artifacts/sha256/<hex>   200, or 206 for `Range: bytes=5-`, or 404

Requests carry the token as `POST /v1/events` does. Each thread keeps one connection, because small files take longer to
connect than to send. Any other answer, and none, means StoreUnavailable: the same request may be sent again.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from urllib.parse import urlsplit

from gateway.client.artifacts.store import (
    DOOR,
    READ_BYTES,
    ArtifactError,
    ArtifactMissing,
    StoreUnavailable,
    WrongBytes,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message
    from typing import BinaryIO

TIMEOUT_S = 60.0  # of connecting, and of each step of a transfer
MAX_ANSWER = 65_536  # bytes read of an answer that is no artifact


class HttpBackend:
    """The artifact door of a gateway server."""

    def __init__(self, url: str, *, token: str = "", ca: str = "") -> None:
        self._url, self._token, self._ca = url, token, ca
        self._idle = threading.local()  # .connection: that of this thread, while no request uses it
        try:
            self._parts = urlsplit(url)
            self._port = self._parts.port
        except ValueError:
            raise ArtifactError("the address of the artifact store is none: write https://host:port") from None
        if not self._parts.hostname or "@" in self._parts.netloc:  # the message never shows a password
            raise ArtifactError(
                "the address of an artifact store is https://host:port without a user: put the token into GATEWAY_TOKEN"
            )

    def size(self, sha256: str) -> int | None:
        """Return the size in bytes; None if there are none of this digest. Raises StoreUnavailable."""
        status, headers = self._ask("HEAD", sha256)
        return _number(headers.get("Content-Length")) if status == 200 else None

    def partial(self, sha256: str) -> int:
        """Return how many bytes of an interrupted upload the server keeps. Raises StoreUnavailable."""
        status, headers = self._ask("HEAD", sha256)
        return _number(headers.get("Upload-Offset")) if status == 404 else 0

    def writer(self, sha256: str, size: int) -> HttpWriter:
        """Begin or continue an upload of `size` bytes in total. Raises StoreUnavailable."""
        offset = self.partial(sha256) if size > READ_BYTES else 0
        return HttpWriter(self, sha256, size, offset if offset < size else 0)

    def open(self, sha256: str, offset: int) -> BinaryIO:
        """Return a file that reads from `offset`. Raises ArtifactMissing, StoreUnavailable."""
        connection = self.connect()
        try:
            part = {"Range": f"bytes={offset}-"} if offset else {}
            connection.request("GET", self.path(sha256), headers=self.headers(part))
            response = connection.getresponse()
            if response.status == 404:
                raise ArtifactMissing(f"{self._url} has no artifact {sha256}: was it deleted? Log it again")
            if response.status not in (200, 206):
                raise self.refusal(response.status, response.read(MAX_ANSWER))
            if response.status == 200 and offset:  # a proxy in between does not know ranges
                _skip(response, offset)
        except (OSError, ValueError, http.client.HTTPException) as error:
            connection.close()
            raise self.away(error) from error
        except ArtifactError:
            connection.close()
            raise
        return _Body(self, connection, response)  # type: ignore[return-value]  # it has what readers use of a file

    def delete(self, sha256: str) -> bool:
        """Raise ArtifactError: the same bytes may be artifacts of others, which a worker does not see."""
        raise ArtifactError(f"{self._url}: a gateway server deletes no bytes: delete them in the server's own store")

    def _ask(self, method: str, sha256: str) -> tuple[int, Message]:
        connection = self.take()
        is_kept = connection.sock is not None
        try:
            connection.request(method, self.path(sha256), headers=self.headers({}))
            response = connection.getresponse()
            answer = response.read(MAX_ANSWER)
        except (OSError, ValueError, http.client.HTTPException) as error:
            connection.close()
            if is_kept:  # the server has closed it meanwhile
                return self._ask(method, sha256)
            raise self.away(error) from error
        if response.status not in (200, 404):
            connection.close()
            raise self.refusal(response.status, answer)
        self.give_back(connection)
        return response.status, response.headers

    def take(self) -> http.client.HTTPConnection:
        """Return the connection of this thread, which may be open, or a new one."""
        kept: http.client.HTTPConnection | None = getattr(self._idle, "connection", None)
        self._idle.connection = None
        return self.connect() if kept is None else kept

    def give_back(self, connection: http.client.HTTPConnection) -> None:
        """Keep a connection whose answer is read to its end."""
        self._idle.connection = connection

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection that is not open yet. Raises StoreUnavailable."""
        host = self._parts.hostname or ""
        if self._parts.scheme == "http":
            return _Connection(host, self._port, timeout=TIMEOUT_S)
        try:
            trust = ssl.create_default_context(cafile=self._ca or None)
        except OSError as error:  # ssl.SSLError is one
            raise StoreUnavailable(f"GATEWAY_TLS_CA {self._ca} cannot be used ({error}): name a PEM file") from error
        return _TlsConnection(host, self._port, timeout=TIMEOUT_S, context=trust)

    def path(self, sha256: str) -> str:
        """Return the path of bytes at the server."""
        return f"{self._parts.path}{DOOR}/sha256/{sha256}"

    def headers(self, more: Mapping[str, str]) -> dict[str, str]:
        """Return the headers of a request, with the token."""
        return {**more, **({"Authorization": f"Bearer {self._token}"} if self._token else {})}

    def away(self, error: Exception) -> StoreUnavailable:
        """Return the error that no answer means."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return StoreUnavailable(
                f"artifact store {self._url}: its certificate is not trusted ({error.verify_message}): "
                "name its authority in GATEWAY_TLS_CA"
            )
        why = str(error) or type(error).__name__
        return StoreUnavailable(
            f"artifact store {self._url} cannot be reached ({why}): start that server, or correct GATEWAY_ARTIFACTS"
        )

    def refusal(self, status: int, answer: bytes) -> ArtifactError:
        """Return the error that an answer means, in the server's own words where it gives them."""
        try:
            document = json.loads(answer)
            why, step = str(document["error"]), str(document["next"])
        except (ValueError, KeyError, TypeError):
            why, step = f"it answers {status}", "correct GATEWAY_ARTIFACTS, or look into the server's log"
            if status in (401, 403):
                why, step = "it refuses the token", "set GATEWAY_TOKEN to the server's"
        kind = WrongBytes if status == 422 else StoreUnavailable
        return kind(f"artifact store {self._url}: {why}: {step}")


class _Connection(http.client.HTTPConnection):
    """A connection that is closed with the thread that keeps it."""

    def __del__(self) -> None:
        self.close()


class _TlsConnection(http.client.HTTPSConnection):
    """The same, encrypted."""

    def __del__(self) -> None:
        self.close()


class HttpWriter:
    """An upload in one request."""

    def __init__(self, backend: HttpBackend, sha256: str, size: int, offset: int) -> None:
        self._backend = backend
        self.offset = offset
        self._connection = connection = backend.take()
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size - offset)}
        if offset:
            headers["Content-Range"] = f"bytes {offset}-{size - 1}/{size}"
        try:
            connection.putrequest("PUT", backend.path(sha256))
            for name, value in backend.headers(headers).items():
                connection.putheader(name, value)
            connection.endheaders()
        except (OSError, ValueError, http.client.HTTPException) as error:
            connection.close()
            raise backend.away(error) from error

    def write(self, data: bytes) -> None:
        """Send bytes. Raises StoreUnavailable."""
        try:
            self._connection.send(data)
        except (OSError, http.client.HTTPException) as error:
            raise self._answer_instead(error) from error

    def commit(self) -> None:
        """Read the answer. Raises WrongBytes, StoreUnavailable."""
        try:
            response = self._connection.getresponse()
            answer = response.read(MAX_ANSWER)
        except (OSError, ValueError, http.client.HTTPException) as error:
            self._connection.close()
            raise self._backend.away(error) from error
        if response.status not in (200, 201):
            self._connection.close()
            raise self._backend.refusal(response.status, answer)
        self._backend.give_back(self._connection)

    def abort(self) -> None:
        """Close the connection: the server sees that bytes are missing, and keeps what it has."""
        self._connection.close()

    def _answer_instead(self, error: Exception) -> ArtifactError:
        """Return why the server closed the connection in the middle: it may have answered before."""
        try:
            response = self._connection.getresponse()
            return self._backend.refusal(response.status, response.read(MAX_ANSWER))
        except (OSError, ValueError, http.client.HTTPException):
            return self._backend.away(error)


class _Body:
    """The rest of an answer, as a file. An answer that ends too early is an error, not the end of the file."""

    def __init__(
        self, backend: HttpBackend, connection: http.client.HTTPConnection, response: http.client.HTTPResponse
    ) -> None:
        self._backend, self._connection, self._response = backend, connection, response

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes; b"" at the end. Raises StoreUnavailable."""
        try:
            data = self._response.read(None if size < 0 else size)
            if not data and size and self._response.length:
                raise http.client.IncompleteRead(b"", self._response.length)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise self._backend.away(error) from error
        return data

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> _Body:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _skip(response: http.client.HTTPResponse, count: int) -> None:
    while count and (data := response.read(min(count, MAX_ANSWER))):
        count -= len(data)


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() else 0
