"""`run.log_text`, `log_dict`, `log_figure`, `log_image` and `log_table`: artifacts of a run, and training continues."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from matplotlib.figure import Figure

import gateway
from gateway.client.artifacts.address import open_store
from gateway.client.artifacts.paths import safe_path
from gateway.client.artifacts.store import split_uri
from gateway.client.run.run import Run
from tests.support.client_harness import DEADLINE_S, Memory


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a store in a folder, which is set."""
    url = (tmp_path / "store").as_uri()
    monkeypatch.setenv("GATEWAY_ARTIFACTS", url)
    return url


def artifacts(run: Run, memory: Memory) -> dict[str, dict[str, Any]]:
    """End the run, and return the last record of each artifact, by name."""
    run.finish(timeout_s=DEADLINE_S)
    found = [json.loads(record.value) for record in memory.sent]
    return {event["name"]: event for event in found if event["kind"] == "artifact"}


def read(event: dict[str, Any]) -> bytes:
    """Return the bytes of an artifact: of a store, or of a file of this machine."""
    place = split_uri(event["uri"])
    if place is None:
        return Path(unquote(urlsplit(event["uri"]).path)).read_bytes()
    with open_store(place[0]).open(place[1]) as file:
        return file.read()


def log_all(run: Any) -> None:
    run.log_text("naïve\n", "notes/a.md")
    run.log_dict({"lr": 0.1}, "config.yaml")
    run.log_dict({"lr": 0.1}, "config")
    run.log_figure(Figure(figsize=(1, 1)), "plots/loss")
    run.log_figure(go.Figure(), "plots/page")
    run.log_image(np.zeros((2, 3)), "black")
    run.log_table(pd.DataFrame({"a": [1]}), "t.csv")
    run.log_table({"a": [1]}, "t")


NAMES = [
    "black.png", "config.json", "config.yaml", "notes/a.md", "plots/loss.png", "plots/page.html", "t.csv", "t.json",
]  # fmt: skip


def test_values_are_stored_by_name_with_size_digest_and_type(
    store: str, run: Run, memory: Memory, journal_home: Path
) -> None:
    log_all(run)

    found = artifacts(run, memory)
    assert sorted(found) == NAMES
    assert all(event["uri"].startswith(f"{store}/sha256/{event['sha256'][:2]}/") for event in found.values())
    assert read(found["notes/a.md"]) == "naïve\n".encode()
    assert (read(found["config.yaml"]), read(found["t.csv"])) == (b"lr: 0.1\n", b"a\n1\n")
    assert (found["notes/a.md"]["size"], found["black.png"]["media_type"]) == (7, "image/png")
    assert [path for path in journal_home.glob(".values/**/*") if path.is_file()] == []


def test_without_a_store_the_files_stay_and_the_run_refers_to_them(
    run: Run, memory: Memory, journal_home: Path
) -> None:
    log_all(run)
    run.log_text("newer", "notes/a.md")

    found = artifacts(run, memory)
    assert sorted(found) == NAMES
    assert read(found["notes/a.md"]) == b"newer"
    assert json.loads(read(found["t.json"])) == {"columns": ["a"], "data": [[1]]}
    assert all(urlsplit(event["uri"]).path.startswith(f"{journal_home}/.values/") for event in found.values())
    assert len([path for path in journal_home.glob(".values/**/*") if path.is_file()]) == len(NAMES)


def test_what_was_logged_is_what_the_value_was_then(store: str, run: Run, memory: Memory) -> None:
    config = {"lr": 0.1}
    run.log_dict(config, "a.json")
    config["lr"] = 0.2
    run.log_dict(config, "b.json")

    found = artifacts(run, memory)
    assert [json.loads(read(found[name]))["lr"] for name in ("a.json", "b.json")] == [0.1, 0.2]


def test_the_same_value_twice_is_stored_once(store: str, run: Run, memory: Memory, tmp_path: Path) -> None:
    run.log_text("same", "a.txt")
    run.log_text("same", "b.txt")

    found = artifacts(run, memory)
    assert found["a.txt"]["uri"] == found["b.txt"]["uri"]
    assert len([path for path in (tmp_path / "store/sha256").rglob("*") if path.is_file()]) == 1


def test_a_value_belongs_to_its_step(store: str, run: Run, memory: Memory) -> None:
    with run.step("train"):
        run.log_text("x", "a.txt")

    assert artifacts(run, memory)["a.txt"]["step_name"] == "train"


class Hostile:
    """An object whose attributes cannot be read."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("no")


BAD: list[tuple[str, Callable[[], object], str]] = [
    ("log_figure", lambda: "no figure", "a.png"),
    ("log_figure", Figure, "a.xyz"),
    ("log_image", object, "a.png"),
    ("log_table", lambda: 3, "a.csv"),
    ("log_table", lambda: {"a": [1], "b": []}, "a.csv"),
    ("log_dict", Hostile, "a.json"),
    ("log_figure", Hostile, "a.png"),
    ("log_image", Hostile, "a.png"),
    ("log_table", Hostile, "a.csv"),
]


@pytest.mark.parametrize(("method", "make", "name"), BAD)
def test_what_cannot_be_written_is_one_line_and_no_error(
    store: str,
    run: Run,
    memory: Memory,
    capsys: pytest.CaptureFixture[str],
    method: str,
    make: Callable[[], object],
    name: str,
) -> None:
    for _ in range(3):
        assert getattr(run, method)(make(), name) is None
    run.emit("loss", 0.5, 0)

    assert artifacts(run, memory) == {}
    lines = [line for line in capsys.readouterr().err.splitlines() if "gateway" in line]
    assert len(lines) == 1
    assert method in lines[0] or "cannot be kept" in lines[0]
    assert any(json.loads(record.value)["kind"] == "metrics" for record in memory.sent)


def test_a_library_that_is_not_installed_harms_nothing(
    store: str, run: Run, memory: Memory, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)

    run.log_image(np.zeros((2, 2)), "a.png")
    run.log_text("after", "b.txt")

    assert sorted(artifacts(run, memory)) == ["b.txt"]
    assert "log_image('a.png'): PIL is not installed, which writes images: install pillow" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("C:\\a\\b.txt", "C/a/b.txt"),
        ("a\x00b.txt", "a_b.txt"),
        ("", "unnamed"),
        ("x" * 4_000 + ".txt", safe_path("x" * 4_000 + ".txt")),
    ],
)
def test_a_hostile_name_stays_inside(
    store: str, run: Run, memory: Memory, tmp_path: Path, name: str, kept: str
) -> None:
    run.log_text("x", name)

    assert sorted(artifacts(run, memory)) == [kept]
    assert {path.name for path in tmp_path.iterdir()} == {"store"}


def test_a_folder_that_cannot_be_written_is_named(
    run: Run, memory: Memory, capsys: pytest.CaptureFixture[str], journal_home: Path
) -> None:
    (journal_home / ".values").write_text("in the way")

    assert run.log_text("x", "a.txt") is None
    assert "log_text('a.txt'): 'a.txt' cannot be written" in capsys.readouterr().err
    assert artifacts(run, memory) == {}


def test_the_functions_of_gateway_log_into_the_current_run(
    own_process: None, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, object, str]] = []

    def recorded(method: str) -> Callable[[Run, object, str], None]:
        return lambda _, value, name: made.append((method, value, name))

    calls = [(f"log_{what}", what, f"{what}.x") for what in ("text", "dict", "figure", "image", "table")]
    with gateway.start_run(run_id="of-functions"):
        for method, value, name in calls:
            monkeypatch.setattr(Run, method, recorded(method))
            getattr(gateway, method)(value, name)

    assert made == calls
