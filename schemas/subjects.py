"""
What an event is about: a run, or an entry of a collection of the registry. Its source and its key in the log.

    runs           /runs/<run id>/producers/<producer>           key: the run id, so each run has an order of its own
    experiments    /experiments/<experiment id>/producers/<...>  key: /experiments, one order for all experiments
    models         /models/<model name>/producers/<...>          key: /models, one order for all registered models
    logged_models  /logged_models/<model id>/producers/<...>     key: /logged_models, one order for all logged models
    views          /views/<view id>/producers/<...>              key: /views, one order for all views
    alert_rules    /alert_rules/<rule id>/producers/<...>        key: /alert_rules, one order for all rules

Ids are percent-encoded in a source. Experiments share a key, and so do models, because their names are unique and
their versions are counted: which of two requests came first has to be the same for every reader. So it is with views
and rules of alerts. Logged models share one too, so that the same code folds all requests. They are few, so one
partition for all of them is enough. The key of a collection may also be the id of a run: then they share a partition.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote

from schemas.bounds import MAX_NAME, MAX_NAME_BYTES, MAX_RUN_ID, MAX_RUN_ID_BYTES
from schemas.errors import NotAnEvent

Collection = Literal["runs", "experiments", "models", "logged_models", "views", "alert_rules"]
COLLECTIONS: tuple[Collection, ...] = ("runs", "experiments", "models", "logged_models", "views", "alert_rules")
SAVED: tuple[Collection, ...] = ("views", "alert_rules")  # of one kind: see schemas/events/saved.py
# Characters and UTF-8 bytes of an id. The id of a model is its name.
_BOUNDS: dict[Collection, tuple[str, int, int]] = {
    "runs": ("run id", MAX_RUN_ID, MAX_RUN_ID_BYTES),
    "experiments": ("experiment id", MAX_RUN_ID, MAX_RUN_ID_BYTES),
    "models": ("model name", MAX_NAME, MAX_NAME_BYTES),
    "logged_models": ("model id", MAX_RUN_ID, MAX_RUN_ID_BYTES),
    "views": ("view id", MAX_RUN_ID, MAX_RUN_ID_BYTES),
    "alert_rules": ("rule id", MAX_RUN_ID, MAX_RUN_ID_BYTES),
}
MAX_REMEMBERED = 1_000  # characters of a source


class Subject(NamedTuple):
    """What an event is about."""

    collection: Collection
    id: str

    @property
    def key(self) -> bytes:
        """The key of its records in the log."""
        return self.id.encode() if self.collection == "runs" else f"/{self.collection}".encode()

    def source(self, producer: str) -> str:
        """Return the `ce_source` of its events from a producer."""
        return f"/{self.collection}/{quote(self.id, safe='')}/producers/{quote(producer, safe='')}"

    def __str__(self) -> str:
        """Return the form that people see: `experiments/42`."""
        return f"{self.collection}/{self.id}"


def parse_source(source: str) -> tuple[Subject, str]:
    """Return subject and producer of a `ce_source`. Raises NotAnEvent."""
    return _parse_known(source) if len(source) <= MAX_REMEMBERED else _parse(source)


def _parse(source: str) -> tuple[Subject, str]:
    parts = source.split("/")
    collection = next((one for one in COLLECTIONS if len(parts) == 5 and parts[1] == one), None)
    if collection is None or parts[0] or parts[3] != "producers":
        raise NotAnEvent(f"ce_source {source!r:.80} is not /runs/<run>/producers/<producer>, or one of {_OTHERS}")
    try:
        name, producer = unquote(parts[2], errors="strict"), unquote(parts[4], errors="strict")
    except UnicodeDecodeError:
        raise NotAnEvent("ce_source is not UTF-8") from None
    _check(name, *_BOUNDS[collection])
    _check(producer, "producer id", MAX_RUN_ID, MAX_RUN_ID_BYTES)
    return Subject(collection, name), producer


def _check(text: str, what: str, characters: int, size: int) -> None:
    if not text or len(text) > characters or "\x00" in text or not (text.isascii() or len(text.encode()) <= size):
        raise NotAnEvent(f"the {what} must have 1 to {characters} characters, at most {size} bytes, and no U+0000")


# A producer writes many records in a row, and parsing is an eighth of decoding a record of one point.
_parse_known = lru_cache(maxsize=4_096)(_parse)
_OTHERS = ", ".join(f"/{one}/…" for one in COLLECTIONS[1:])
