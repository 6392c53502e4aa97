"""The alerts process on a real log and store: killed at any moment, with rules that change, and a back-test of it."""

from __future__ import annotations

import asyncio
import json
import math
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from consumers.alerts.backtest import TestProgress, backtest
from consumers.alerts.evaluator.rules import compile_rule
from consumers.alerts.sending.senders import signature
from consumers.store.alerts.outbox import Outbox
from consumers.store.alerts.states import ALERTS, AlertStates, Batch, FiringRow, Move, Resolution
from consumers.store.fencing import Fenced
from consumers.store.migrations import migrate
from consumers.store.offsets import load_offsets
from consumers.store.pool import open_database
from gateway.local.ports import HOST
from schemas import events as ev
from schemas.subjects import Subject
from schemas.wire import Envelope, ProducerId, RegistryEnvelope
from tests.support.gateway_command import gateway_with
from tests.support.live_server import Live, fold, serving, settings_for
from tests.support.log_author import Author, write
from tests.support.materialiser_process import Materialiser, environment, until

SECRET = "shared"  # of the webhook


class Hook:
    """A webhook that keeps what it gets; `refuse` gives the status of an answer."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.refuse: Callable[[], int] = lambda: 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = hook.refuse()
                if status == 200:
                    hook.got.append((dict(self.headers), body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer((HOST, 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server.server_address[1]}/hook"

    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server((HOST, 0)) as server:
        yield f"http://{HOST}:{server.getsockname()[1]}/"


@pytest.fixture
def targets(tmp_path: Path, hook: Hook, silent: str) -> Path:
    path = tmp_path / "targets.yaml"
    hooked = {"type": "webhook", "url": hook.url, "secret": SECRET}
    away = {"type": "webhook", "url": silent, "timeout_s": 100}
    path.write_text(json.dumps({"targets": {"hook": hooked, "away": away}, "default": ["hook"]}))
    return path


def saved(rule_id: str, when: dict[str, Any], *, producer: str = "", **fields: Any) -> RegistryEnvelope:
    """Return the event that saves a rule now."""
    now = time.time_ns() // 1_000
    event = ev.AlertRuleSaved(time=now, name=rule_id, body={"when": when, **fields})
    return RegistryEnvelope(Subject("alert_rules", rule_id), ProducerId(producer or f"of {rule_id}"), 0, now, event)


class Stage:
    """A log, a database and an alerts process that may be killed."""

    def __init__(self, kafka: str, topic: str, database: str, folder: Path, targets: Path) -> None:
        self.settings = settings_for(kafka, topic, database, folder)
        self.database, self.folder = database, folder
        self.variables = environment(kafka, topic, database, alert_targets=str(targets))

    def start(self) -> Materialiser:
        return Materialiser(self.folder, self.variables, ("-m", "consumers.alerts"))

    async def write(self, *envelopes: Envelope | RegistryEnvelope) -> None:
        await write(self.settings.kafka, self.settings.topic, envelopes)

    async def save(self, *rules: RegistryEnvelope) -> None:
        await self.write(*rules)
        await fold(self.settings)

    async def rows(self, query: str, *values: Any) -> list[Any]:
        connection = await asyncpg.connect(self.database)
        try:
            return [tuple(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    async def command(self, *arguments: str) -> Any:
        """Return what `gateway alerts` prints as JSON, while the log is folded."""
        running = asyncio.create_task(
            asyncio.to_thread(gateway_with, self.variables, "alerts", *arguments, "--json", timeout_s=100)
        )
        while not running.done():
            await fold(self.settings)
            await asyncio.wait({running}, timeout=0.2)
        done = running.result()
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    async def evaluated(self, records: int) -> bool:
        query = "SELECT coalesce(sum(next_offset), 0) FROM consumer_offsets WHERE consumer = 'alerts'"
        return bool((await self.rows(query))[0][0] >= records)


def rules_file(stage: Stage) -> Path:
    """Return a file of rules."""
    path = stage.folder / "rules.yaml"
    path.write_text(
        "rules:\n"
        "  - {id: nan, when: {kind: nan}, series: {prefix: lo}, where: experiment = 'digits'}\n"
        "  - {id: rate, when: {kind: threshold, op: '>', value: 1}, series: {name: rate}}\n"
    )
    return path


async def check_commands(stage: Stage) -> None:
    """Check what the commands say after `nan` and, muted, `rate` have fired."""
    listed = await stage.command("list")
    assert [(one["rule_id"], one["muted"], one["value"]) for one in listed["alerts"]] == [
        ("rate", True, 2.0),
        ("nan", False, "NaN"),
    ]
    known = await stage.command("rules")
    assert [(one["id"], one["firing"], bool(one["problem"])) for one in known["rules"]] == [
        ("bad", 0, True),
        ("nan", 1, False),
        ("rate", 1, False),
    ]
    assert [one["rule"] for one in known["mutes"]] == ["rate"]
    tested = await stage.command("test", str(rules_file(stage)), "--since", "1h")
    assert [(one["rule_id"], one["step"]) for one in tested["transitions"]] == [("nan", 0), ("rate", 0)]
    assert (await stage.command("unmute", "rate"))["ended"] == 1
    assert await stage.command("send-test", "hook") == {"targets": [{"target": "hook", "taken": True, "error": ""}]}
    shown = {one["target"]: one for one in (await stage.command("targets"))["targets"]}
    assert (shown["away"]["sent"], shown["hook"]["default"]) == (0, True)
    assert SECRET not in str(shown)


@pytest.fixture
def stage(kafka: str, topic: str, database: str, tmp_path: Path, targets: Path) -> Stage:
    return Stage(kafka, topic, database, tmp_path, targets)


def runs(count: int) -> list[Envelope]:
    """Return records of runs: each has NaN and one value above 10, twice, in each of two series, and fails."""
    found: list[Envelope] = []
    for number in range(count):
        author = Author(f"run-{number}")
        found.append(author.start(tag="digits"))
        for name in ("loss", "val/loss"):
            for first in range(0, 60, 10):
                values = [1.0] * 10
                if first in (10, 40):
                    values[3], values[7] = math.nan, 11.0
                found.append(author.metrics(name, values, first_step=first))
        found.append(author.envelope(ev.RunFailed(time=author.now(), message="out of memory")))
    return found


async def test_killed_at_any_moment_no_firing_is_missed_and_none_is_stored_or_sent_as_another_one(
    stage: Stage, hook: Hook
) -> None:
    count = 12
    rules = [
        saved("nan", {"kind": "nan"}),
        saved("high", {"kind": "threshold", "op": ">", "value": 10}, series={"regex": "loss$"}, to=["hook", "away"]),
        saved("failed", {"kind": "run_ended"}, where="experiment = 'digits'"),
        saved("elsewhere", {"kind": "nan"}, where="experiment = 'letters'"),
    ]
    await stage.save(*rules)
    made = runs(count)
    rng = random.Random(7)
    refused = iter([500, 503])
    hook.refuse = lambda: next(refused, 200)
    process = stage.start().until_ready()
    for part in range(4):  # written while it is killed
        await stage.write(*made[part * len(made) // 4 : (part + 1) * len(made) // 4])
        await asyncio.sleep(rng.uniform(0, 0.2))  # the moment of the kill
        process.kill()
        process = stage.start()
    total = len(made) + len(rules)
    await until(lambda: stage.evaluated(total), "all records are evaluated")

    query = "SELECT rule_id, run_id, series, step, resolved IS NOT NULL FROM alerts ORDER BY 1, 2, 3, 4"
    expected: list[tuple[Any, ...]] = [
        (rule, f"run-{number}", name, step, True)
        for rule, steps in (("high", (17, 47)), ("nan", (13, 43)))
        for number in range(count)
        for name in ("loss", "val/loss")
        for step in steps
    ]
    expected += [("failed", f"run-{number}", "", None, False) for number in range(count)]
    assert await stage.rows(query) == sorted(expected, key=lambda one: (one[0], one[1], one[2], one[3] or 0))

    assert await backtested(stage, rules) == await stored(stage)
    messages = 2 * 8 * count + count

    async def all_sent() -> bool:
        return len({one["delivery_id"] for one in hook.documents()}) == messages

    await until(all_sent, "every message is sent")
    process.kill(signal.SIGTERM)
    headers, body = hook.got[0]
    assert headers["X-Gateway-Signature"] == signature(SECRET, headers["X-Gateway-Timestamp"], body)
    said = {(one["rule_id"], one["event"]) for one in hook.documents()}
    assert said == {("nan", "fired"), ("nan", "resolved"), ("high", "fired"), ("high", "resolved"), ("failed", "fired")}
    away = await stage.rows("SELECT state, count(*) FROM alert_outbox WHERE target = 'away' GROUP BY 1")
    assert away == [("waiting", 4 * 2 * count)]


async def stored(stage: Stage) -> list[tuple[Any, ...]]:
    """Return what the process has stored, as transitions."""
    query = "SELECT rule_id, run_id, series, fired, step, message, resolved, resolution FROM alerts"
    found: list[tuple[Any, ...]] = []
    for rule, run, series, fired, step, message, resolved, resolution in await stage.rows(query):
        found += [(rule, run, series, True, fired, step, message)]
        found += [(rule, run, series, False, resolved, None, resolution)] if resolved is not None else []
    return sorted(found, key=str)


async def backtested(stage: Stage, rules: list[RegistryEnvelope]) -> list[tuple[Any, ...]]:
    """Return what a back-test says of the same rules, as transitions."""
    compiled = [
        compile_rule(one.subject.id, 1, "", one.event.body, one.event.time // 1_000)
        for one in rules
        if isinstance(one.event, ev.AlertRuleSaved)
    ]
    database = await open_database(stage.database)
    progress = TestProgress()
    try:
        await backtest(stage.settings, database, compiled, progress)
    finally:
        await database.close()
    assert progress.is_complete
    found = [
        (one.rule.id, one.run_id, one.series, one.fired, one.time, one.step if one.fired else None, one.message)
        for one in progress.transitions
    ]
    return sorted(found, key=str)


async def check_writing(live: Live) -> None:
    """Check the routes for pages that write rules and mute them."""
    wrong = await live.http.post("/v1/alert-rules/check", json={"yaml": "id: a\nwhen:\n  kind: nan\nto: chat"})
    assert [(one["field"], one["line"]) for one in wrong.json()["problems"]] == [("to", 4)]
    right = (await live.http.post("/v1/alert-rules/check", json={"rule": {"id": "a", "when": {"kind": "nan"}}})).json()
    assert (right["ok"], right["yaml"], right["rule"]["body"]["severity"]) == (
        True, "id: a\nwhen:\n  kind: nan\n", "warning",
    )  # fmt: skip
    assert (await live.http.post("/v1/alert-rules/check", json={})).status_code == 400
    unknown = await live.http.post("/v1/alert-mutes", json={"rule_id": "no-such"})
    assert (unknown.status_code, unknown.json()["error"]) == (404, "there is no rule 'no-such'")
    muted = await live.http.post("/v1/alert-mutes", json={"rule_id": "nan", "run_id": "run"})
    assert muted.json()["mutes"] == [{"rule_id": "nan", "run_id": "run", "until": None}]
    assert await live.json("/v1/alert-mutes") == muted.json()
    ended = await live.http.post("/v1/alert-mutes", json={"rule_id": "nan", "run_id": "run", "muted": False})
    assert ended.json()["mutes"] == []


async def test_rules_change_while_it_runs_and_the_api_shows_what_fired(stage: Stage, hook: Hook) -> None:
    author = Author("run")
    await fold(stage.settings)
    process = stage.start().until_ready()
    try:
        await stage.save(saved("quiet", {"kind": "no_news", "seconds": 0.5}))
        await stage.write(author.start(tag="digits"), author.metrics("loss", [math.nan]))

        async def firing() -> set[str]:
            return {row[0] for row in await stage.rows("SELECT rule_id FROM alerts WHERE resolved IS NULL")}

        async def quiet_fires() -> bool:
            return await firing() == {"quiet"}

        await until(quiet_fires, "silence is noticed without a record")
        now = time.time_ns() // 1_000
        deleted = RegistryEnvelope(
            Subject("alert_rules", "quiet"), ProducerId("d"), 0, now, ev.AlertRuleDeleted(time=now)
        )
        await stage.save(deleted, saved("bad", {"kind": "nan"}, where="metrics.x > 1"))
        assert (await stage.command("apply", str(rules_file(stage))))["rules"] == [
            {"rule_id": "nan", "result": "created"},
            {"rule_id": "rate", "result": "created"},
        ]
        again = await stage.command("apply", str(rules_file(stage)), "--prune", "--dry-run")
        assert [one["result"] for one in again["rules"]] == ["unchanged", "unchanged", "deleted"]
        await stage.command("mute", "rate", "--for", "1h")
        unknown = await asyncio.to_thread(gateway_with, stage.variables, "alerts", "mute", "rat", timeout_s=100)
        assert (unknown.returncode, "there is no rule 'rat'" in unknown.stderr) == (2, True)
        await stage.write(author.metrics("loss", [math.nan], first_step=1), author.metrics("rate", [2.0]))

        async def nan_fires() -> bool:
            return await firing() == {"nan", "rate"}

        await until(nan_fires, "the deleted rule is resolved and the new one fires")
        await check_commands(stage)
        assert "rule 'bad': where: 'x' of kind metric is not known" in process.text()
        async with serving(stage.settings) as live:
            page = await live.json("/v1/alerts", state="firing", rule_id="nan")
            (alert,) = page["alerts"]
            assert (alert["rule_id"], alert["series"], alert["value"], alert["step"]) == ("nan", "loss", "NaN", 1)
            first = await live.json("/v1/alerts", limit=1)
            rest = await live.json("/v1/alerts", limit=2, page_token=first["next_page_token"])
            assert [one["rule_id"] for one in first["alerts"] + rest["alerts"]] == ["quiet", "rate", "nan"]
            assert rest["next_page_token"] is None
            assert (await live.get("/v1/alerts", page_token="x")).status_code == 422
            refused = await live.http.put("/v1/alert-rules/r", json={"name": "r", "body": {"when": {"kind": "none"}}})
            assert refused.status_code == 422
            assert "when: needs kind, one of threshold, nan" in refused.json()["error"]
            await check_writing(live)
    finally:
        process.kill()
    long_ago = "stored = now() - interval '91 days', resolved = resolved - 91 * 86400000000"
    await stage.rows(f"UPDATE alerts SET {long_ago} WHERE rule_id <> 'rate'")
    database = await open_database(stage.database)
    await Outbox(database).shorten(90)
    await database.close()
    assert await firing() == {"nan", "rate"}
    assert len(await stage.rows("SELECT FROM alerts")) == 2


async def test_a_process_that_another_one_has_replaced_resolves_nothing(database: str) -> None:
    db = await open_database(database)
    try:
        await migrate(db)
        states = AlertStates(db, "topic")
        at = await load_offsets(db, ALERTS, "topic", [0, 1])
        fired = FiringRow(uuid4(), "r", 2, "r", "info", ["hook"], "run", "", 1, None, None, "no news")
        await states.commit(Batch({0: Move(0, 7, None)}, (), (), [fired], ()))  # the other process has a newer rule

        with pytest.raises(Fenced, match="another process"):
            await states.resolve_other_rules({"r": 1}, 2, (), at)
        assert await states.resolve_other_rules({"r": 2}, 2, (), {0: 7, 1: 0}) == 0
        assert await states.resolve_other_rules({}, 2, (), {0: 7, 1: 0}) == 1
    finally:
        await db.close()


async def test_that_an_alert_is_resolved_is_not_said_before_that_it_fired(database: str) -> None:
    db = await open_database(database)
    outbox, alert_id = Outbox(db), uuid4()
    fired = FiringRow(alert_id, "r", 1, "r", "info", ["hook"], "run", "", 1, None, None, "no news")
    try:
        await migrate(db)
        states = AlertStates(db, "topic")
        await states.commit(Batch({}, (), (), [fired, Resolution(alert_id, 2, "news")], ()))
        first, second = await outbox.waiting("hook", 2)
        assert (first.event, second.event) == ("fired", "resolved")

        await outbox.failed(first.number, "busy", 60.0)
        assert await outbox.waiting("hook", 2) == []
        await outbox.sent(first.number)
        assert [one.event for one in await outbox.waiting("hook", 2)] == ["resolved"]
    finally:
        await db.close()
