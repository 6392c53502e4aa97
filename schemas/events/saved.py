"""
Events about what people save for all: views of the dashboard, and rules of alerts.

The id is chosen by the producer. Each save is a version, counted from 1 in the order of the log, and all are kept. A
writer that saw a version names it in `based_on`: if there is a newer one, nothing is saved. `author` is the name of
the person or program that asked, where it is known.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, Field

from schemas.bounds import check_depth
from schemas.events.base import Event, IndexedText, Name, Text

MAX_BODY = 262_144  # bytes of a body as JSON


def check_body(value: dict[str, Any]) -> dict[str, Any]:
    """Return a body unchanged. Raises ValueError for one that is too deep or too long."""
    check_depth(value)
    try:
        size = len(orjson.dumps(value))
    except TypeError as error:
        raise ValueError(f"it is no JSON: {error}") from None
    if size > MAX_BODY:
        raise ValueError(f"it has {size:,} bytes as JSON, and may have {MAX_BODY:,}")
    return value


Body = Annotated[dict[str, Any], AfterValidator(check_body)]
BasedOn = Annotated[int, Field(ge=0, le=2**31 - 1, strict=True)]


class Saved(Event):
    """What both collections say of a version."""

    name: Name
    body: Body = Field(description="JSON object of at most 256 KiB")
    description: Text = ""
    author: IndexedText = ""
    based_on: BasedOn | None = Field(default=None, description="version that the writer saw; 0: there was none")


class ViewSaved(Saved):
    """A view is saved: a new one, or a version of one."""

    kind: Literal["view_saved"] = "view_saved"
    type: IndexedText = ""  # which page it is of


class ViewDeleted(Event):
    """A view is deleted. Its versions can still be read."""

    kind: Literal["view_deleted"] = "view_deleted"
    author: IndexedText = ""


class AlertRuleSaved(Saved):
    """A rule is saved: a new one, or a version of one."""

    kind: Literal["alert_rule_saved"] = "alert_rule_saved"
    enabled: Annotated[bool, Field(strict=True)] = True


class AlertRuleDeleted(Event):
    """A rule is deleted. Its versions can still be read."""

    kind: Literal["alert_rule_deleted"] = "alert_rule_deleted"
    author: IndexedText = ""
