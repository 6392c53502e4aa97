"""
Which headers of a request go to MLflow's server, and which of its answer go back.
"""

from __future__ import annotations

from collections.abc import Iterable

from schemas.runtime.access.sessions import without_session

Headers = list[tuple[str, str]]

# Of one connection, not of the message (RFC 9110, 7.6.1), or written by each sender of the message.
_OF_CONNECTION = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "expect", "host", "date", "server",
    }
)  # fmt: skip
# Tokens and logins are of the door alone. MLflow's server knows itself by another name than the browser, and would
# refuse what it takes for the request of another site (mlflow/server/fastapi_security.py); the door has checked it.
_OF_DOOR = frozenset({"authorization", "origin", "referer", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"})


def to_server(headers: Iterable[tuple[str, str]]) -> Headers:
    """Return the headers of a request that MLflow's server gets."""
    found = _without(list(headers), _OF_CONNECTION | _OF_DOOR)
    shown = [(name, without_session(value) if name.lower() == "cookie" else value) for name, value in found]
    return [(name, value) for name, value in shown if value or name.lower() != "cookie"]


def to_client(headers: Iterable[tuple[str, str]], origin: str) -> Headers:
    """
    Return the headers of an answer that the client gets; `origin` is the server's, `http://host:port`.

    A redirect within that server, which clients do not reach, becomes one to the same path of the door.
    """
    found = _without(list(headers), _OF_CONNECTION)
    return [
        (name, value.removeprefix(origin) if name.lower() == "location" and value.startswith(f"{origin}/") else value)
        for name, value in found
    ]


def _without(headers: Headers, names: Iterable[str]) -> Headers:
    named = {one.strip().lower() for name, value in headers if name.lower() == "connection" for one in value.split(",")}
    dropped = {*names, *named}
    return [(name, value) for name, value in headers if name.lower() not in dropped]
