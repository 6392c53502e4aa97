"""
The query API, asked by the door: documents that are at least as new as what the door wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson

from gateway.server.mlflow.caller import CALLER
from gateway.server.mlflow.errors import Refused, unavailable
from schemas.runtime.settings import Settings

CONNECTIONS = 64
IDLE_S = 4.0  # of a connection that is used again: the API closes it after 5 s
WAIT_S = 20.0  # until what was written is folded; the client waits for an answer for 120 s
ANSWER_S = 60.0  # beyond that


class NotThere(Exception):
    """The query API answers 404: what was asked for does not exist."""


class Reader:
    """Reads from the query API. `written` gives the offsets that an answer must include."""

    def __init__(self, settings: Settings, written: Mapping[int, int]) -> None:
        self._url, self._token, self._written = settings.api, settings.token.get_secret_value(), written
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Create the session: it belongs to the running loop."""
        headers = {"Accept-Encoding": "identity"}  # compressing for this machine would cost more than it saves
        headers |= {"Authorization": f"Bearer {self._token}"} if self._token else {}
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=IDLE_S)
        self._session = aiohttp.ClientSession(connector=connector, headers=headers)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    @property
    def min_offsets(self) -> str | None:
        """The parameter `min_offsets` of a read that includes all that this door wrote; None for nothing."""
        return ",".join(f"{part}:{offset}" for part, offset in sorted(self._written.items())) or None

    async def get(self, path: str, /, **parameters: Any) -> dict[str, Any]:
        """Return a document. Parameters that are None are left out. Raises NotThere and Refused."""
        wanted = {"min_offsets": self.min_offsets, "timeout_s": WAIT_S} | parameters
        return await self._ask("GET", path, parameters=wanted)

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a question that has a body. Raises NotThere and Refused."""
        return await self._ask("POST", path, body={"min_offsets": self.min_offsets, "timeout_s": WAIT_S} | dict(body))

    async def _ask(
        self, method: str, path: str, *, parameters: Mapping[str, Any] | None = None, body: Any = None
    ) -> dict[str, Any]:
        assert self._session is not None, "open() creates it"
        query = [
            (name, str(one))
            for name, value in (parameters or {}).items()
            if value is not None
            for one in (value if isinstance(value, list | tuple) else [value])
        ]
        data, headers = (None, {}) if body is None else (orjson.dumps(body), {"Content-Type": "application/json"})
        if caller := CALLER.get():  # what they may not see, the API does not answer
            headers["Authorization"] = f"Bearer {caller.token}"
        timeout = aiohttp.ClientTimeout(total=WAIT_S + ANSWER_S)
        try:
            async with self._session.request(
                method, self._url + path, params=query, timeout=timeout, data=data, headers=headers
            ) as response:
                return _checked(response.status, await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unavailable(f"the query API at {self._url} does not answer ({error!r:.200})") from error


def _checked(status: int, text: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(text)
    except ValueError:
        answer = {}
    if status == 200 and isinstance(answer, dict):
        return answer
    problem = str(answer.get("error") if isinstance(answer, dict) else "") or f"the query API answers {status}"
    if status == 404:
        raise NotThere(problem)
    if status in (400, 422):
        raise Refused("INVALID_PARAMETER_VALUE", problem)
    if status == 403:
        raise Refused("PERMISSION_DENIED", problem)
    raise unavailable(problem)
