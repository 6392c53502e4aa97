"""
Read the run log of a run that has no local copy, for example because it ran on another machine: ask the query API.

An API that is away, or does not know the run, is no error here: then there is no such run log. The wait is short,
because each new run asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.client.errors import ClientError
from gateway.client.notices import warn_once
from gateway.client.query import ask, find_api, get, run_path
from gateway.dialects.runnable.chunks import from_labels

if TYPE_CHECKING:
    from gateway.dialects.runnable.chunks import Chunk

TIMEOUT_S = 2.0  # until the API says whether it knows the run


def read_back(run_id: str) -> dict[str, Chunk]:
    """Return the chunks of a run log as far as PostgreSQL has it; {} if it has none, or does not answer."""
    try:
        api = find_api()
        status, found = ask(api, run_path(run_id, "progress"), TIMEOUT_S)
        if status != 200 or found.get("is_deleted"):
            return {}
        document = get(api, run_path(run_id, "log"), max_points=1, max_series=1)
    except ClientError as error:
        warn_once("runnable-read", f"run {run_id}: whether its run log exists elsewhere is not known ({error})")
        return {}
    if "labels" in document["truncated"]:
        warn_once("runnable-read", f"run {run_id}: its run log in PostgreSQL is too large to be read back")
        return {}
    try:
        return from_labels(document["labels"])
    except (ValueError, KeyError, TypeError) as error:
        warn_once(
            "runnable-read", f"run {run_id}: its run log in PostgreSQL is not whole ({error!r:.200}): it is not used"
        )
        return {}
