"""
Save and delete views and alert rules, which share one form of request; list and read them.
"""

from __future__ import annotations

import json
import re

from gateway.client.errors import ClientError
from gateway.client.registry.arguments import LAST_VERSION, check_id, check_name, check_reference, check_text
from gateway.client.registry.connection import path_of
from gateway.client.registry.requests import TIMEOUT_S, decide

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, Literal

    from gateway.client.registry.connection import Registry

    Collection = Literal["views", "alert_rules"]

MAX_BODY = 262_144  # bytes as JSON, as schemas/events/saved.py has them
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # its escape, and not the end of another one
_KINDS = {"views": "view", "alert_rules": "alert_rule"}


def save(  # noqa: PLR0913 -- each is a fact about a version
    registry: Registry,
    collection: Collection,
    item_id: str,
    *,
    name: str,
    body: Mapping[str, Any],
    description: str = "",
    based_on: int | None = None,
    type: str = "",
    enabled: bool = True,
    author: str = "",
    request_id: str | None = None,
    timeout_s: float = TIMEOUT_S,
) -> dict[str, Any]:
    """
    Save a view or a rule under an id, and return what became of it: `id`, `name`, `version`.

    `type` is of views, `enabled` of rules. Raises HasChanged if `based_on` is not the newest version, AlreadyExists if
    it is 0 and there is one, NotFound, IsDeleted, and what `decide` raises.
    """
    if based_on is not None and not (isinstance(based_on, int) and 0 <= based_on <= LAST_VERSION):
        raise ClientError(f"based_on {based_on!r:.60} is no number of a version: give an integer, 0 for a new one")
    event: dict[str, Any] = {
        "kind": f"{_KINDS[collection]}_saved",
        "name": check_name(name, "the name"),
        "body": _checked_body(body),
        "description": check_text(description, "the description"),
        "author": check_reference(author, "the author"),
        "based_on": based_on,
    }
    if collection == "views":
        event["type"] = check_reference(type, "the type")
    else:
        event["enabled"] = bool(enabled)
    return decide(registry, collection, check_id(item_id, "the id"), event, request_id, timeout_s)


def delete(
    registry: Registry,
    collection: Collection,
    item_id: str,
    *,
    author: str = "",
    request_id: str | None = None,
    timeout_s: float = TIMEOUT_S,
) -> None:
    """Delete a view or a rule; its versions can be read. Raises NotFound, IsDeleted, and what `decide` raises."""
    event = {"kind": f"{_KINDS[collection]}_deleted", "author": check_reference(author, "the author")}
    decide(registry, collection, check_id(item_id, "the id"), event, request_id, timeout_s)


def listed(
    registry: Registry, collection: Collection, limit: int | None = None, /, **parameters: Any
) -> Iterator[dict[str, Any]]:
    """Yield views or rules as the query API gives them, newest first; `parameters` are those of its route."""
    return registry.pages(path_of(_route(collection)), collection, limit, **parameters)


def read(registry: Registry, collection: Collection, item_id: str, version: int | None = None) -> dict[str, Any]:
    """Return a view or a rule with its body, the newest version unless another is named. Raises NotFound."""
    return registry.read(path_of(_route(collection), check_id(item_id, "the id")), version=version)


def _route(collection: Collection) -> str:
    return collection.replace("_", "-")


def _checked_body(body: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise ClientError(f"the body is {type(body).__name__}: give a JSON object")
    try:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ClientError(f"the body is no JSON ({error}): correct it") from None
    if len(text) > MAX_BODY:
        raise ClientError(f"the body has {len(text):,} bytes as JSON, and may have {MAX_BODY:,}: make it shorter")
    if _NUL.search(text):
        raise ClientError("the body contains the character U+0000: leave it out")
    return body
