"""Commands that change runs: what is wrong is one line before any request or event is sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import main
from gateway.cli.lookup import check_name
from schemas.errors import Refused

run = CliRunner().invoke
UNREACHABLE = "127.0.0.1:1"


@pytest.fixture(autouse=True)
def unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATEWAY_HOME", str(tmp_path))
    monkeypatch.setenv("GATEWAY_URL", f"kafka://{UNREACHABLE}")
    monkeypatch.setenv("GATEWAY_LIVE_URL", f"http://{UNREACHABLE}")


@pytest.mark.parametrize("command", ["delete", "rename", "tag", "trash", "restore", "move"])
def test_help_has_examples(command: str) -> None:
    shown = run(main.app, ["runs", command, "--help"]).stdout

    assert "Examples:" in shown
    assert f"gateway runs {command} RUN" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["delete", "r"], "confirmation is needed, and stdin is not a terminal: add --yes"),
        (["tag", "r", "team"], "'team' is not a tag: write KEY=VALUE"),
        (["tag", "r", "=vision"], "'=vision' is not a tag: write KEY=VALUE"),
        (["tag", "r", f"{'k' * 1_025}=v"], "a tag has 1 to 1,024 characters, not 1,025"),
        (["tag", "r", f"k={'v' * 8_193}"], "the value of tag k has 1 to 8,192 characters, not 8,193"),
        (["rename", "r", ""], "a name has 1 to 1,024 characters, not 0"),
        (["rename", "r", "\udcff"], "a name is not UTF-8"),
        (["rename", "r", "é" * 513], "a name has at most 1,024 bytes in UTF-8, not 1,026"),
        (["tag", "r", f"{'é' * 513}=v"], "a tag has at most 1,024 bytes in UTF-8, not 1,026"),
        (["rename", "\udcff", "x"], "a run id is not UTF-8"),
        (["rename", "r", "x", "--series", "a", "--tag", "b"], "give --series, --param or --tag"),
        (["delete", "r", "--yes"], f"the API at http://{UNREACHABLE} cannot be reached"),
        (["rename", "r", "x"], "start it with `gateway up`, or correct GATEWAY_LIVE_URL"),
        (["trash", "\udcff"], "a run id is not UTF-8"),
        (["move", "r", "--to", ""], "the name of an experiment has 1 to 1,024 characters, not 0"),
        (["restore", "r"], f"the API at http://{UNREACHABLE} cannot be reached"),
        (["history", "r", "loss", "--csv", "--json"], "give one of them"),
        (["history", "r", "loss"], f"the API at http://{UNREACHABLE} cannot be reached"),
        (["tag", "r", "a=b"], f"the API at http://{UNREACHABLE} cannot be reached"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: list[str], answer: str) -> None:
    result = run(main.app, ["runs", *arguments])

    assert (result.exit_code, result.stdout) == (2, "")
    assert answer in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_without_an_address_to_send_to_no_request_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_URL", "none:")
    result = run(main.app, ["runs", "tag", "r", "a=b"])

    assert result.exit_code == 2
    assert "no address to send to" in result.stderr


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("los", "run r has no series 'los': did you mean 'loss'?"),
        ("test/loss{rank=1}", "did you mean 'loss'?"),
        ("zebra", "see what it has with `gateway runs show r`"),
    ],
)
def test_an_unknown_name_is_answered_with_near_ones(name: str, answer: str) -> None:
    with pytest.raises(Refused) as caught:
        check_name("r", "series", name, {"loss": {"loss", "test/loss{rank=1}"}, "accuracy": {"accuracy"}})

    assert answer in str(caught.value)
