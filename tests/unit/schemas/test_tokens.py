"""Tokens, their file, and the sessions that begin with them."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.errors import BadSettings
from schemas.runtime.access.sessions import Sessions
from schemas.runtime.access.token_file import LOOK_S, SHARED_NAME, TokenFile
from schemas.runtime.access.tokens import Token, create_token, find_token, new_text, read_tokens, revoke_token

READ = ["read"]


class Clock:
    """Seconds that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def path_in(folder: Path) -> Path:
    return folder / "home" / "tokens.json"


def test_the_file_has_a_hash_and_its_owner_alone_can_use_it(tmp_path: Path) -> None:
    token, text = create_token(path_in(tmp_path), "ci", ["emit", "read"], experiments=["digits"])

    assert text.startswith(f"gw_{token.id}_")
    assert text.rpartition("_")[2] not in path_in(tmp_path).read_text()
    assert path_in(tmp_path).stat().st_mode & 0o777 == 0o600
    assert find_token(read_tokens(path_in(tmp_path)), text) == token


def test_no_other_text_is_the_token(tmp_path: Path) -> None:
    token, text = create_token(path_in(tmp_path), "ci", ["read"])
    tokens = {token.id: token}
    others = [
        "",
        text[:-1],
        text + "a",
        text.upper(),
        new_text(),
        f"gw_{token.id}_{'a' * 43}",
        token.sha256,
        "é",
        "\ud800",
    ]

    assert [one for one in others if find_token(tokens, one) is not None] == []


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o604])
def test_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    create_token(path_in(tmp_path), "ci", ["read"])
    path_in(tmp_path).chmod(mode)

    with pytest.raises(BadSettings, match="chmod 600"):
        TokenFile(path_in(tmp_path))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2, "tokens": []}', '{"version": 1, "tokens": [1]}'])
def test_a_damaged_file_is_refused_at_the_start_and_later_leaves_what_was_in_force(tmp_path: Path, text: str) -> None:
    path, clock = path_in(tmp_path), Clock()
    _, shown = create_token(path, "ci", ["read"])
    tokens = TokenFile(path, clock=clock)

    path.write_text(text)
    clock.now += LOOK_S
    assert tokens.find(shown)[0] is not None
    assert "damaged" in tokens.problem
    with pytest.raises(BadSettings, match="damaged"):
        TokenFile(path)

    path.unlink()
    _, other = create_token(path, "other", ["read"])
    clock.now += LOOK_S
    assert (tokens.find(shown)[0], tokens.problem) == (None, "")
    assert tokens.find(other)[0] is not None


def test_a_change_is_in_force_after_the_next_look(tmp_path: Path) -> None:
    path, clock = path_in(tmp_path), Clock()
    tokens = TokenFile(path, clock=clock)
    _, shown = create_token(path, "ci", ["read"])

    assert tokens.find(shown)[0] is None
    clock.now += LOOK_S
    assert tokens.find(shown)[0] is not None
    revoke_token(path, "ci")
    clock.now += LOOK_S
    assert tokens.find(shown) == (None, "the token 'ci' was revoked")


def test_an_expired_token_is_refused_and_says_so(tmp_path: Path) -> None:
    _, shown = create_token(path_in(tmp_path), "ci", ["read"], expires=datetime.now(UTC) - timedelta(seconds=1))

    assert TokenFile(path_in(tmp_path)).find(shown) == (None, "the token 'ci' has expired")
    assert not TokenFile(path_in(tmp_path)).has_any


def test_gateway_token_has_all_scopes(tmp_path: Path) -> None:
    holder, _ = TokenFile(path_in(tmp_path), "secret").find("secret")

    assert holder is not None
    assert (holder.name, holder.may(frozenset({"write"})), holder.experiments) == (SHARED_NAME, True, None)


def test_names_are_given_once_until_they_are_revoked(tmp_path: Path) -> None:
    path = path_in(tmp_path)
    first, _ = create_token(path, "ci", ["read"])
    with pytest.raises(BadSettings, match="already"):
        create_token(path, "ci", ["read"])
    revoke_token(path, first.id)
    with pytest.raises(BadSettings, match="no token"):
        revoke_token(path, "ci")
    create_token(path, "ci", ["read"])

    assert [one.name for one in read_tokens(path).values()] == ["ci", "ci"]


def test_tokens_that_are_created_at_once_are_all_there(tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=create_token, args=(path_in(tmp_path), f"t{number}", READ)) for number in range(8)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert sorted(one.name for one in read_tokens(path_in(tmp_path)).values()) == [f"t{number}" for number in range(8)]


def session_of(tokens: TokenFile, text: str) -> tuple[Sessions, str, str]:
    holder, _ = tokens.find(text)
    assert holder is not None
    sessions = Sessions(tokens)
    begun = sessions.begin(holder)
    assert begun is not None
    return sessions, begun.cookie, begun.csrf


def test_a_session_is_that_of_its_token_until_the_logout(tmp_path: Path) -> None:
    _, text = create_token(path_in(tmp_path), "anna", ["read"], experiments=["digits"])
    sessions, cookie, csrf = session_of(TokenFile(path_in(tmp_path)), text)

    found = sessions.find(cookie)
    assert found is not None
    assert (found.name, found.experiments, found.csrf) == ("anna", frozenset({"digits"}), csrf)
    sessions.end(cookie)
    assert sessions.find(cookie) is None


def test_a_session_survives_a_restart_and_ends_with_its_token(tmp_path: Path) -> None:
    path, clock = path_in(tmp_path), Clock()
    _, text = create_token(path, "anna", ["read"])
    _, cookie, _ = session_of(TokenFile(path), text)
    tokens = TokenFile(path, clock=clock)

    assert Sessions(tokens).find(cookie) is not None
    revoke_token(path, "anna")
    clock.now += LOOK_S
    assert Sessions(tokens).find(cookie) is None


def test_no_other_cookie_is_a_session(tmp_path: Path) -> None:
    _, text = create_token(path_in(tmp_path), "anna", ["read"])
    sessions, cookie, csrf = session_of(TokenFile(path_in(tmp_path)), text)
    version, token_id, end, nonce, signature = cookie.split(".")
    forged = [
        "", ".", "v1....", cookie[:-1], cookie + "0", f"v1.{token_id}.{int(end) + 1}.{nonce}.{signature}",
        f"v2.{token_id}.{end}.{nonce}.{signature}", f"v1.shared.{end}.{nonce}.{signature}",
        f"v1.{token_id}.{end}.{nonce}.{csrf}", "é" * 50, "v1.x.1.y." + "z" * 1_000,
    ]  # fmt: skip

    assert version == "v1"
    assert [one for one in forged if sessions.find(one) is not None] == []


def test_what_is_shown_of_a_token_has_no_hash(tmp_path: Path) -> None:
    token, _ = create_token(path_in(tmp_path), "ci", ["read"])

    assert token.sha256 not in json.dumps(token.document())
    assert isinstance(token, Token)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"version": 1, "tokens": [%s]}'])
def test_a_file_of_any_content_is_damaged_and_nothing_else(tmp_path: Path, content: str) -> None:
    path = path_in(tmp_path)
    found, shown = create_token(path, "ci", ["read"])
    clock = Clock()
    tokens = TokenFile(path, clock=clock)
    wrong = json.dumps(found._asdict() | {"sha256": "\u00e9" * 64})
    path.write_text(content.replace("%s", wrong))
    clock.now += LOOK_S

    assert tokens.find(shown)[0] is not None
    assert "damaged" in tokens.problem


def test_a_link_to_the_file_stays_one(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    path, link = path_in(tmp_path / "shared"), tmp_path / "link.json"
    link.symlink_to(path)
    create_token(link, "ci", ["read"])
    revoke_token(link, "ci")

    assert link.is_symlink()
    assert [one.revoked is None for one in read_tokens(path).values()] == [False], "others read what it names"


def test_a_login_whose_token_ends_meanwhile_is_none(tmp_path: Path) -> None:
    path, clock = path_in(tmp_path), Clock()
    token, shown = create_token(path, "ci", ["read"])
    tokens = TokenFile(path, clock=clock)
    holder, _ = tokens.find(shown)
    revoke_token(path, token.id)
    clock.now += LOOK_S

    assert holder is not None
    assert Sessions(tokens).begin(holder) is None
