"""Run logs are found and read where the stores of Magnus leave them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.dialects.magnus import run_log_files
from gateway.dialects.magnus.run_log_check import RunLogError
from gateway.dialects.magnus.run_log_files import find_run_logs, join_chunks, read_run_log
from tests.support.run_logs import run_log, step


def bare(*hidden: str, **document: Any) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in hidden}


BRANCH = {"internal_name": "map.a-b", "status": "SUCCESS", "steps": {}}
CHUNKS = {
    "RunLog.json": {**run_log(), "parameters": {}},
    "StepLog-map-200.json": step("map", attempts=[]),
    "StepLog-map.a-b.one-1000.json": step("map.a-b.one"),
    "StepLog-first-100.json": step("first"),
    "BranchLog-map.a-b-201.json": BRANCH,
    "Parameter-out.json": {"out": 5},
}


def store(folder: Path) -> Path:
    """Fill a folder as both stores of Magnus would."""
    (folder / "ch-1").mkdir(parents=True)
    for name, chunk in CHUNKS.items():
        (folder / "ch-1" / name).write_text(json.dumps(chunk))
    (folder / "fs-1.json").write_text(json.dumps(run_log(step("a"))))
    (folder / "notes.txt").write_text("no run log")
    return folder


def test_a_store_a_file_a_folder_and_the_folder_around_them_are_found(tmp_path: Path) -> None:
    inside = store(tmp_path / ".run_log_store")
    both = [inside / "ch-1", inside / "fs-1.json"]

    assert find_run_logs(inside) == find_run_logs(tmp_path) == both
    assert find_run_logs(inside / "ch-1") == find_run_logs(inside / "ch-1" / "RunLog.json") == both[:1]
    assert find_run_logs(inside / "fs-1.json") == both[1:]


def test_the_chunks_of_a_run_make_one_run_log_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    document = read_run_log(store(tmp_path) / "ch-1")

    assert list(document["steps"]) == ["first", "map"]
    assert list(document["steps"]["map"]["branches"]["map.a-b"]["steps"]) == ["map.a-b.one"]
    assert document["parameters"] == {"out": 5}


@pytest.mark.parametrize(
    ("chunks", "why"),
    [
        (bare("RunLog.json", **CHUNKS), r"has no RunLog\.json"),
        (bare("BranchLog-map.a-b-201.json", **CHUNKS), "lacks the branch or the step around 'map.a-b.one'"),
        ({**CHUNKS, "StepLog-x-1.json": []}, r"StepLog-x-1\.json holds no object"),
        ({**CHUNKS, "StepLog-x-1.json": {}}, r"StepLog-x-1\.json has no internal_name"),
    ],
)
def test_a_folder_that_lacks_chunks_is_refused(chunks: dict[str, Any], why: str) -> None:
    with pytest.raises(RunLogError, match=why):
        join_chunks(chunks)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"run_id": "r1", "ste', r"is no whole JSON \(line 1, column 18: Unterminated string"),
        (b"", r"is no whole JSON \(line 1, column 1"),
        (b"\xff\xfe\xfa", "cannot be read as JSON"),
        (b"[" * 100_000, "is nested too deep"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "cannot be read as JSON"),
    ],
)
def test_a_file_that_is_no_json_is_one_error(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "r1.json").write_bytes(content)

    with pytest.raises(RunLogError, match=why) as caught:
        read_run_log(tmp_path / "r1.json")
    assert "\n" not in str(caught.value)


def test_bare_nan_and_infinity_are_read_as_magnus_writes_them(tmp_path: Path) -> None:
    (tmp_path / "r1.json").write_text('{"bad": NaN, "high": Infinity, "low": -Infinity}')

    assert str(read_run_log(tmp_path / "r1.json")) == "{'bad': nan, 'high': inf, 'low': -inf}"


def test_what_is_no_file_or_too_large_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "big.json").write_text("[" + "1," * 1_000)
    monkeypatch.setattr(run_log_files, "MAX_BYTES", 1_000)

    for name, why in (
        ("pipe.json", "is no file"),
        ("big.json", "has 0 MB, at most 0 MB"),
        ("no.json", "does not exist"),
    ):
        with pytest.raises(RunLogError, match=why):
            read_run_log(tmp_path / name)


def test_a_folder_without_run_logs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunLogError, match="holds no run log: name a file that Magnus wrote"):
        find_run_logs(tmp_path)
