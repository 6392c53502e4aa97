"""
Tokens and their file: who may do what, in which experiments, until when.

A token is `gw_<id>_<secret>`: the id finds it in the file, the secret has 256 random bits. The file holds the SHA-256
of the whole text. That is enough for a random secret: a slow hash protects passwords, which can be guessed.
The file belongs to one user: others could replace a hash by that of a token of their own.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from schemas.errors import BadSettings
from schemas.runtime.access.identity import SCOPES, Identity, Scope

PREFIX = "gw_"
VERSION = 1
MAX_TOKENS = 100_000
MAX_NAME = 200  # characters of the name of a token or experiment
_TEXT = re.compile(r"gw_([a-z0-9]{10})_[A-Za-z0-9_-]{43}")
_DIGEST = re.compile("[0-9a-f]{64}")
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


class Token(NamedTuple):
    """A token as the file has it. Times are ISO 8601, UTC."""

    id: str
    name: str
    sha256: str
    scopes: tuple[Scope, ...]
    experiments: tuple[str, ...] | None  # None: all
    created: str
    changed: str
    expires: str | None = None
    revoked: str | None = None

    def problem(self, now: datetime) -> str:
        """Return why the token is refused; "" if it is in force."""
        if self.revoked is not None:
            return f"the token {self.name!r:.100} was revoked"
        if self.expires is not None and datetime.fromisoformat(self.expires) <= now:
            return f"the token {self.name!r:.100} has expired"
        return ""

    def identity(self) -> Identity:
        """Return who holds it."""
        experiments = None if self.experiments is None else frozenset(self.experiments)
        return Identity(self.name, frozenset(self.scopes), experiments, self.id)

    def document(self) -> dict[str, Any]:
        """Return what may be shown of it: everything but the hash."""
        found = {name: value for name, value in self._asdict().items() if name != "sha256"}
        is_refused = bool(self.problem(datetime.now(UTC)))
        return found | {"state": ("revoked" if self.revoked else "expired") if is_refused else "in force"}


def new_text() -> str:
    """Return the text of a new token."""
    return f"{PREFIX}{''.join(secrets.choice(_ALPHABET) for _ in range(10))}_{secrets.token_urlsafe(32)}"


def digest(text: str) -> str:
    """Return the SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def find_token(tokens: Mapping[str, Token], text: str) -> Token | None:
    """Return the token with this text, in force or not; None for no token. Its duration tells nothing."""
    match = _TEXT.fullmatch(text)
    found = tokens.get(match[1]) if match else None
    is_same = hmac.compare_digest(digest(text), found.sha256 if found else "0" * 64)
    return found if is_same else None


def read_tokens(path: Path) -> dict[str, Token]:
    """Return the tokens of a file by id, none without a file. Raises BadSettings for one that others can use."""
    try:
        with path.open("rb") as file:
            _refuse_shared(path, os.fstat(file.fileno()))
            content = file.read()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadSettings(
            f"tokens_file {path} cannot be read ({error.strerror}): correct GATEWAY_TOKENS_FILE"
        ) from error
    try:
        document = json.loads(content)
        if document["version"] != VERSION:
            raise ValueError(f"its version is {document['version']!r:.20}")
        tokens = [_token(one) for one in document["tokens"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BadSettings(
            f"tokens_file {path} is damaged ({type(error).__name__}: {error}): restore it, or delete it and create the "
            "tokens again with `gateway tokens create`"
        ) from error
    return {one.id: one for one in tokens}


def _refuse_shared(path: Path, state: os.stat_result) -> None:
    if stat.S_IMODE(state.st_mode) & 0o077:
        raise BadSettings(f"tokens_file {path} can be used by others than its owner: chmod 600 {path}")
    if state.st_uid not in (os.geteuid(), 0):
        raise BadSettings(f"tokens_file {path} belongs to another user: let this process run as its owner")


def _token(given: Any) -> Token:
    if not isinstance(given, dict):
        raise TypeError("a token is an object")
    experiments = given["experiments"]
    found = Token(
        **{name: given[name] for name in ("id", "name", "sha256", "created", "changed")},
        scopes=tuple(given["scopes"]),
        experiments=None if experiments is None else tuple(experiments),
        expires=given.get("expires"),
        revoked=given.get("revoked"),
    )
    texts = (found.id, found.name, found.created, found.changed, *found.scopes, *(found.experiments or ()))
    if not all(isinstance(one, str) for one in texts) or not set(found.scopes) <= set(SCOPES):
        raise ValueError(f"token {found.id!r:.20} has no such form")
    if not _DIGEST.fullmatch(found.sha256):
        raise ValueError(f"token {found.id!r:.20} has no such form")
    if found.expires is not None and datetime.fromisoformat(found.expires).tzinfo is None:
        raise ValueError(f"token {found.id!r:.20} expires at a time without a zone")
    return found


@contextmanager
def _changing(path: Path) -> Iterator[dict[str, Token]]:
    """Let one process at a time change the tokens: it changes the dict, which then replaces the file."""
    path = path.resolve()  # a link stays one: other machines read the file that it names
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BadSettings(f"tokens_file {path} cannot be written ({error}): correct GATEWAY_TOKENS_FILE") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        tokens = read_tokens(path)
        yield tokens
        _replace(path, tokens)
    finally:
        os.close(lock)


def _replace(path: Path, tokens: Mapping[str, Token]) -> None:
    document = {"version": VERSION, "tokens": [one._asdict() for one in tokens.values()]}
    beside = path.with_name(path.name + ".new")
    try:
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise BadSettings(f"tokens_file {path} cannot be written ({error}): correct GATEWAY_TOKENS_FILE") from error


def create_token(
    path: Path,
    name: str,
    scopes: Sequence[Scope],
    *,
    experiments: Sequence[str] | None = None,
    expires: datetime | None = None,
) -> tuple[Token, str]:
    """Add a token to the file; return it with its text, which is stored nowhere. Raises BadSettings."""
    for text in (name, *(experiments or ())):
        if not text.strip() or len(text) > MAX_NAME or not text.isprintable():
            raise BadSettings(f"{text!r:.300} cannot be a name: write 1 to {MAX_NAME} printable characters")
    if not scopes or not set(scopes) <= set(SCOPES):
        raise BadSettings(f"scopes {','.join(scopes)!r:.100}: write some of {','.join(SCOPES)}, separated by commas")
    if "admin" in scopes and experiments is not None:
        raise BadSettings("a token of scope admin cannot be limited to experiments: leave out --experiment or admin")
    text, now = new_text(), datetime.now(UTC).isoformat(timespec="seconds")
    with _changing(path) as tokens:
        if any(one.name == name and one.revoked is None for one in tokens.values()):
            raise BadSettings(f"there is a token {name!r} already: revoke it first, or choose another name")
        if len(tokens) >= MAX_TOKENS:
            raise BadSettings(f"tokens_file {path} has {MAX_TOKENS:,} tokens: delete revoked ones from it")
        until = None if expires is None else expires.astimezone(UTC).isoformat(timespec="seconds")
        limit = None if experiments is None else tuple(dict.fromkeys(experiments))
        found = Token(text.split("_")[1], name, digest(text), tuple(dict.fromkeys(scopes)), limit, now, now, until)
        tokens[found.id] = found
    return found, text


def revoke_token(path: Path, name_or_id: str) -> Token:
    """Revoke the token with this name or id; it stays in the list. Raises BadSettings for none."""
    with _changing(path) as tokens:
        fitting = [one for one in tokens.values() if one.revoked is None and name_or_id in (one.name, one.id)]
        if not fitting:
            raise BadSettings(f"no token {name_or_id!r:.200} is in force: see `gateway tokens list`")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        found = tokens[fitting[0].id] = fitting[0]._replace(revoked=now, changed=now)
    return found
