"""Folders that stay closed for everybody but one system user."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gateway.local.servers.search_access import let_search, with_search

USER = 65_534
OWNER, GROUP, OTHER = (1, 7, 0xFFFFFFFF), (4, 0, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF)


def test_one_user_may_search_and_nobody_else(tmp_path: Path) -> None:
    inner = tmp_path / "closed" / "inner"
    inner.mkdir(parents=True)
    for folder in (inner, inner.parent):
        folder.chmod(0o700)

    let_search(inner, USER)
    let_search(inner, USER)

    for folder in (inner, inner.parent):
        content = os.getxattr(folder, "system.posix_acl_access")
        assert content == with_search([OWNER, GROUP, OTHER], USER)
        assert not stat.S_IMODE(folder.stat().st_mode) & 0o067


def test_an_open_folder_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    let_search(tmp_path, USER)

    assert "system.posix_acl_access" not in os.listxattr(tmp_path)


def test_where_there_are_no_lists_the_folder_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    tmp_path.chmod(0o700)
    monkeypatch.setattr(os, "setxattr", refuse)

    let_search(tmp_path, USER)

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o701


def test_the_rights_that_others_have_are_kept() -> None:
    entries = [OWNER, (2, 4, USER), (2, 6, 1_000), (4, 5, 0xFFFFFFFF), (16, 6, 0xFFFFFFFF), OTHER]

    found = with_search(entries, USER)

    expected = [OWNER, (2, 6, 1_000), (2, 5, USER), (4, 5, 0xFFFFFFFF), (16, 7, 0xFFFFFFFF), OTHER]
    assert found == with_search(expected, USER)
    assert len(found) == 4 + 8 * len(expected)
