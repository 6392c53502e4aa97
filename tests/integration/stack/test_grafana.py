"""Every query of the Grafana dashboard returns rows from a real database with real runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from schemas import events as ev
from tests.support.live_server import fold, settings_for, training
from tests.support.log_author import Author, write

DASHBOARD = json.loads((Path(__file__).parents[3] / "docs/grafana-dashboard.json").read_text(encoding="utf-8"))
SYSTEM = json.loads((Path(__file__).parents[3] / "deploy/grafana/dashboards/system.json").read_text(encoding="utf-8"))
VARIABLES = {"$group": "'sweep'", "$run": "'one','lost'", "$metric": "'loss'"}  # as Grafana quotes chosen values


def queries() -> Iterator[tuple[str, str]]:
    """Yield the name and SQL of each panel and of each variable."""
    for panel in [*DASHBOARD["panels"], *SYSTEM["panels"]]:
        for target in panel["targets"]:
            if "rawSql" in target:
                yield panel["title"], target["rawSql"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield f"variable {variable['name']}", variable["query"]


def filled(sql: str) -> str:
    """Replace variables and the time range, as Grafana does."""
    sql = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN '2023-01-01T00:00:00Z' AND '2100-01-01T00:00:00Z'", sql)
    sql = re.sub(r"\$__unixEpochFilter\((.+?)\) GROUP", r"\1 BETWEEN 0 AND 4102444800 GROUP", sql)
    return re.sub(r"\$\w+", lambda found: VARIABLES[found[0]], sql)


@pytest.fixture
async def answers(kafka: str, topic: str, database: str, tmp_path: Path) -> dict[str, list[Any]]:
    silent = Author("lost")
    runs = [*training("one", group="sweep"), silent.start(group="sweep"), silent.metrics("loss", [0.5, 0.25])]
    hole = silent.envelope(ev.Heartbeat(time=silent.now()))._replace(seq=7)
    await write(kafka, topic, [*runs, hole])
    await fold(settings_for(kafka, topic, database, tmp_path))
    connection = await asyncpg.connect(database)
    try:
        return {name: [dict(row) for row in await connection.fetch(filled(sql))] for name, sql in queries()}
    finally:
        await connection.close()


async def test_every_query_returns_what_the_database_holds(answers: dict[str, list[Any]]) -> None:
    assert answers["Runs by state"] == [{"state": "finished", "runs": 1}, {"state": "lost", "runs": 1}]
    assert answers["Lost runs"] == [{"lost": 1}]
    assert answers["Parked records"] == [{"parked": 0}]
    assert answers["Records missing"] == [{"missing": 5}]
    assert answers["Points stored"] == [{"points": 5}]
    assert {row["run_id"] for row in answers["Runs"]} == {"one", "lost"}
    assert len(answers["$metric of $run"]) == 5
    assert sum(row["next_offset"] for row in answers["How far each consumer is"]) == 7
    assert answers["Trackers"] == []
    assert answers["Alerts now"] == answers["Alerts by rule"] == answers["Messages to targets"] == []
    assert answers["variable group"] == [{"group_name": "sweep"}]
    assert {row["run_id"] for row in answers["variable run"]} == {"one", "lost"}
    assert answers["variable metric"] == [{"name": "loss"}]


def test_the_dashboard_can_be_imported() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    sources = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]}

    assert len(set(ids)) == len(ids)
    assert sources == {"${datasource}"}  # the user who imports it chooses the database
    assert DASHBOARD["title"]
    assert DASHBOARD["schemaVersion"] >= 36
