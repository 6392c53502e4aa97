"""
Save the rules of a file: those that are new or differ, as versions of the collection `alert_rules`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from schemas.alerts import RuleEntry, read_rule
from schemas.errors import BadSettings, LogUnavailable

if TYPE_CHECKING:
    from consumers.store.alerts.rules import StoredRule
    from consumers.store.pool import Database
    from schemas.runtime.settings import Settings
    from schemas.wire import RegistryEnvelope

BATCH = 500  # requests in one write
DECIDED_S, POLL_S = 30.0, 0.05


class Applied(NamedTuple):
    """What became of a rule."""

    rule_id: str
    result: str  # created, changed, unchanged, deleted, or why not

    @property
    def is_done(self) -> bool:
        """Whether it is as the file says."""
        return self.result in ("created", "changed", "unchanged", "deleted")


async def apply_rules(settings: Settings, entries: Sequence[RuleEntry], *, prune: bool, dry_run: bool) -> list[Applied]:
    """
    Save rules, and with `prune` delete those that are not among them; return what became of each.

    Raises LogUnavailable, also when the materialiser does not decide within DECIDED_S: the same call may be repeated.
    """
    from consumers.cli.database import connected_database
    from consumers.store.alerts.rules import AlertRules

    async with connected_database(settings, "gateway alerts apply") as database:
        stored = {one.rule_id: one for one in await AlertRules(database).load()}
        done = [Applied(one.id, _difference(one, stored.get(one.id))) for one in entries]
        if prune:
            named = {one.id for one in entries}
            done += [Applied(rule_id, "deleted") for rule_id in stored if rule_id not in named]
        wanted = [one for one in done if one.result != "unchanged"]
        if dry_run or not wanted:
            return done
        by_id = {one.id: one for one in entries}
        requests = {one.rule_id: _request(one.rule_id, by_id.get(one.rule_id)) for one in wanted}
        await _write(settings, database, list(requests.values()))
        refused = await _decisions(database, requests)
    return [Applied(one.rule_id, refused.get(one.rule_id, one.result)) for one in done]


def _difference(entry: RuleEntry, stored: StoredRule | None) -> str:
    if stored is None:
        return "created"
    try:
        same = read_rule(stored.body).model_dump(mode="json") == entry.body()
    except BadSettings:  # a rule that another release wrote
        same = False
    facts = (entry.name or entry.id, entry.enabled, entry.description)
    return "unchanged" if same and facts == (stored.name, stored.enabled, stored.description) else "changed"


def _request(rule_id: str, entry: RuleEntry | None) -> RegistryEnvelope:
    from schemas import events as ev
    from schemas.subjects import Subject
    from schemas.wire import ProducerId, RegistryEnvelope

    now = time.time_ns() // 1_000
    event: ev.AlertRuleSaved | ev.AlertRuleDeleted = ev.AlertRuleDeleted(time=now)
    if entry is not None:
        event = ev.AlertRuleSaved(
            time=now, name=entry.name or entry.id, body=entry.body(), description=entry.description,
            enabled=entry.enabled,
        )  # fmt: skip
    return RegistryEnvelope(Subject("alert_rules", rule_id), ProducerId(str(uuid4())), 0, now, event)


async def _write(settings: Settings, database: Database, requests: Sequence[RegistryEnvelope]) -> None:
    from consumers.live.edits.appender import Appender
    from consumers.log.security import security_arguments
    from consumers.log.writer import LogWriter
    from consumers.store.run_partitions import RunPartitions
    from schemas.wire import encode

    partitions = RunPartitions(database, settings.topic)
    appender = Appender(
        lambda: LogWriter(settings.need("kafka"), settings.topic, security_arguments(settings)),
        lambda records: partitions.of_records(records, claim=False),
    )
    try:
        for at in range(0, len(requests), BATCH):
            await appender.append([encode(one) for one in requests[at : at + BATCH]])
    finally:
        await appender.close()


async def _decisions(database: Database, requests: dict[str, RegistryEnvelope]) -> dict[str, str]:
    """Return why requests were refused, by rule; waits until all are decided."""
    from consumers.store.registry.read import RegistryReader

    keys: dict[Any, str] = {("alert_rules", str(one.producer), 0): rule_id for rule_id, one in requests.items()}
    refused: dict[str, str] = {}
    deadline = time.monotonic() + DECIDED_S
    while keys:
        async with database.acquire() as connection:
            decided = await RegistryReader(connection).decisions(keys)
        refused |= {keys[key]: one.reason for key, one in decided.items() if one.outcome != "done"}
        keys = {key: rule_id for key, rule_id in keys.items() if key not in decided}
        if keys and time.monotonic() > deadline:
            raise LogUnavailable(
                f"{len(keys):,} rules are in the log, and the materialiser has not decided about them within "
                f"{DECIDED_S:g} s: see whether it runs with `gateway status`, then run the same command"
            )
        await asyncio.sleep(POLL_S if keys else 0)
    return refused
