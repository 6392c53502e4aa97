"""PostgreSQL as the system user, for root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.local.servers import postgres
from schemas.errors import StackError


def test_a_list_of_users_that_another_start_has_locked_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "useradd"
    program.write_text(
        f'#!/bin/sh\n[ -e {tmp_path}/locked ] || {{ touch {tmp_path}/locked; exit 1; }}\necho "$@" >{tmp_path}/added\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(postgres, "SYSTEM_USER", "no-such-user")
    postgres._add_user()

    assert (tmp_path / "added").read_text().split()[-1] == "no-such-user"


@pytest.mark.parametrize("made", ["data", "data.new"])
def test_the_cluster_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path, made: str) -> None:
    cluster = tmp_path / "postgres" / made
    cluster.mkdir(parents=True)
    for name in ("PG_VERSION", "postmaster.pid"):
        (cluster / name).write_text("18", encoding="ascii")
    with pytest.raises(StackError, match="or name another --home if another program made this folder"):
        postgres.prepare(tmp_path / "postgres", port=1)

    assert sorted(path.name for path in cluster.iterdir()) == ["PG_VERSION", "postmaster.pid"]
