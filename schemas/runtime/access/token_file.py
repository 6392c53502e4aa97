"""
The tokens in force in a server: those of the file, read again when it changes, and GATEWAY_TOKEN.

A decision never waits for Kafka or PostgreSQL, and for the disk only as long as a look at the file's state takes.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from schemas.errors import BadSettings
from schemas.runtime.access.identity import SCOPES, Identity
from schemas.runtime.access.tokens import PREFIX, Token, digest, find_token, read_tokens

LOOK_S = 0.5  # between two looks whether the file has changed
SHARED_ID = "shared"  # stands for GATEWAY_TOKEN where a token of the file has its id
SHARED_NAME = "GATEWAY_TOKEN"

log = logging.getLogger("schemas.runtime.access")


class TokenFile:
    """The tokens of a server. Used from one thread."""

    def __init__(self, path: Path, shared: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file; `shared` is GATEWAY_TOKEN. Raises BadSettings for a file that cannot be used."""
        self._path, self._clock = path, clock
        self._shared = digest(shared) if shared else ""
        self._state = _state(path)
        self._tokens: Mapping[str, Token] = read_tokens(path)
        self._looked = clock()
        self._problem = ""

    @property
    def problem(self) -> str:
        """Why the last change of the file is not in force; "" if it is."""
        self._current()
        return self._problem

    @property
    def has_any(self) -> bool:
        """Whether there is any token in force: otherwise no caller could use a server that needs one."""
        return bool(self._shared) or any(not one.problem(datetime.now(UTC)) for one in self._current().values())

    def find(self, text: str) -> tuple[Identity | None, str]:
        """Return who shows this token; None, and why, for one that is not in force."""
        tokens = self._current()
        if self._shared and hmac.compare_digest(digest(text), self._shared):
            return _shared_identity(), ""
        found = find_token(tokens, text)
        if found is None:
            return None, "the token is missing or wrong"
        problem = found.problem(datetime.now(UTC))
        return (None, problem) if problem else (found.identity(), "")

    def by_id(self, token_id: str) -> tuple[Identity | None, str]:
        """Return who holds the token with this id, and its hash; None while it is not in force."""
        if token_id == SHARED_ID:
            return (_shared_identity(), self._shared) if self._shared else (None, "")
        found = self._current().get(token_id)
        if found is None or found.problem(datetime.now(UTC)):
            return None, ""
        return found.identity(), found.sha256

    def expires(self, token_id: str) -> datetime | None:
        """Return when a token expires; None for never."""
        found = self._current().get(token_id)
        return None if found is None or found.expires is None else datetime.fromisoformat(found.expires)

    def _current(self) -> Mapping[str, Token]:
        if self._clock() - self._looked >= LOOK_S:
            self._looked = self._clock()
            self._look()
        return self._tokens

    def _look(self) -> None:
        state = _state(self._path)
        if state == self._state:
            return
        try:
            self._tokens, self._state = read_tokens(self._path), state
            if self._problem:
                log.warning("tokens_file %s is in force again", self._path)
            self._problem = ""
        except BadSettings as error:
            problem = f"{error}; the tokens from before stay in force"
            if problem != self._problem:  # each look sees the file again: it may be mended without a new time
                self._problem = problem
                log.error("%s", problem)


def _shared_identity() -> Identity:
    return Identity(SHARED_NAME, frozenset(SCOPES), token_id=SHARED_ID)


def is_own_form(text: str) -> bool:
    """Tell whether a text has the form of a token of the file."""
    return text.startswith(PREFIX)


def _state(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode
