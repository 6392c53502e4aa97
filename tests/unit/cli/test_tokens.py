"""`gateway tokens`: a token is printed once, and what cannot be one is refused with what to write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import main
from schemas.runtime.access.token_file import TokenFile

run = CliRunner().invoke


def test_a_token_is_printed_once_listed_without_its_hash_and_revoked(tmp_path: Path) -> None:
    home = ["--home", str(tmp_path)]
    created = run(main.app, ["tokens", "create", "anna", "--scope", "read", "--experiment", "digits", *home])
    text = created.stdout.strip()
    listed = json.loads(run(main.app, ["tokens", "list", "--json", *home]).stdout)["tokens"]
    revoked = run(main.app, ["tokens", "revoke", "anna", *home])

    assert (created.exit_code, revoked.exit_code) == (0, 0)
    assert [(one["name"], one["experiments"], one["state"]) for one in listed] == [("anna", ["digits"], "in force")]
    assert "sha256" not in listed[0]
    assert TokenFile(tmp_path / "tokens.json").find(text)[1] == "the token 'anna' was revoked"


@pytest.mark.parametrize("end", ["0d", "2020-01-01", "9999-12-31T23:59:59-14:00", "999999w", "tomorrow"])
def test_an_end_that_is_none_is_refused(tmp_path: Path, end: str) -> None:
    result = run(main.app, ["tokens", "create", "ci", "--scope", "emit", "--expires", end, "--home", str(tmp_path)])

    assert (result.exit_code, not (tmp_path / "tokens.json").exists()) == (2, True), result.output
    assert f"expires '{end}'" in result.stderr
