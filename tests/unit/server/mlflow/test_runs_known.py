"""What the door knows of runs: read once, again for the runs in use, forgotten when idle."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.server.mlflow.errors import Refused, unavailable
from gateway.server.mlflow.reading import Reader
from gateway.server.mlflow.run_json import run_info
from gateway.server.mlflow.runs import known
from gateway.server.mlflow.runs.known import KnownRun, KnownRuns
from schemas.runtime.settings import Settings


class Documents(Reader):
    """Documents of runs, and how often they were asked for."""

    def __init__(self, *run_ids: str) -> None:
        super().__init__(Settings(kafka="127.0.0.1:1"), {})
        self.runs = {run_id: document(run_id) for run_id in run_ids}
        self.asked: list[Mapping[str, Any]] = []
        self.is_away = False

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append(body)
        if self.is_away:
            raise unavailable("away")
        found = [self.runs[one] for one in body["run_ids"] if one in self.runs]
        return {"runs": found, "next_page_token": None}


def document(run_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "run_id": run_id, "name": run_id, "state": "running", "created": 1, "params": {"lr": 0.1}, "tags": {},
        "metrics": {}, "labels": {}, "lifecycle_stage": "active",
        "attempt": 1,
    } | fields  # fmt: skip


async def test_a_run_is_read_once_however_many_calls_ask_at_once() -> None:
    reader = Documents("r")
    runs = KnownRuns(reader, lambda run: None)
    one, other = await asyncio.gather(runs.find("r"), runs.find("r"))
    assert (one is other, one.params) == (True, {"lr": "0.1"})
    assert [body["min_offsets"] for body in reader.asked] == ["end"]
    with pytest.raises(Refused, match="Run with id=none not found"):
        await runs.find("none")


async def test_what_others_change_is_seen_and_what_this_process_changed_stays() -> None:
    reader = Documents("r", "gone")
    runs = KnownRuns(reader, lambda run: None)
    run, _ = await runs.find("r"), await runs.find("gone")
    run.params["mine"] = "1"
    reader.runs = {"r": document("r", lifecycle_stage="deleted", params={"lr": 0.1, "theirs": "2"})}
    await runs.tidy()
    assert run.params == {"lr": "0.1", "theirs": "2", "mine": "1"}
    with pytest.raises(Refused, match="must be in the 'active' state"):
        run.check_active()
    assert runs.get("gone") is None


async def test_what_is_on_its_way_to_the_log_is_not_undone_by_a_read_that_cannot_have_it() -> None:
    reader = Documents("r")
    runs = KnownRuns(reader, lambda run: None)
    run = await runs.find("r")
    created = KnownRun(run_info(document("new")), {}, known.NEVER)
    runs.add(created)
    run.info["status"] = "FINISHED"
    run.changing = created.changing = writing = asyncio.get_running_loop().create_future()
    await runs.tidy()
    assert (run.info["status"], runs.get("new")) == ("FINISHED", created)
    writing.set_result("")
    await runs.tidy()
    assert (run.info["status"], runs.get("new")) == ("RUNNING", None), "now the query API knows"


async def test_a_run_that_was_idle_is_read_again_and_used_as_it_is_known_if_that_is_impossible() -> None:
    reader = Documents("r", "gone")
    runs = KnownRuns(reader, lambda run: None)
    for run in (await runs.find("r"), await runs.find("gone")):
        run.used -= known.USED_S + 1
    reader.runs = {"r": document("r", lifecycle_stage="deleted")}
    with pytest.raises(Refused, match="must be in the 'active' state"):
        (await runs.find("r")).check_active()
    with pytest.raises(Refused, match="not found"):
        await runs.find("gone")
    run.used -= known.USED_S + 1
    reader.is_away = True
    run = await runs.find("r")
    asked = len(reader.asked)
    assert await runs.find("r") is run
    assert len(reader.asked) == asked, "it is in use: nothing more is read"


async def test_idle_runs_and_too_many_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "MAX_RUNS", 2)
    closed: list[str] = []
    runs = KnownRuns(Documents("a", "b", "c"), lambda run: closed.append(run.run_id))
    for run_id in ("a", "b", "a", "c"):
        await runs.find(run_id)
    assert closed == ["b"]
    monkeypatch.setattr(known, "IDLE_S", -1.0)
    await runs.tidy()
    assert sorted(closed) == ["a", "b", "c"]
