"""
The rules that are evaluated: those of the collection, as the materialiser decided about them.

PostgreSQL is asked every POLL_S whether a rule has changed. When the log itself has a change, the materialiser is
waited for, so that a rule that was saved before a run began judges the first record of that run.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

from consumers.alerts.evaluator.rules import Rule, RuleIndex, compile_rule
from consumers.log.record import Record
from consumers.store.alerts.rules import AlertRules, StoredRule
from consumers.store.offsets import CONSUMER, stored_offsets
from consumers.store.pool import Database
from schemas.errors import BadSettings
from schemas.subjects import Subject

POLL_S = 1.0
EXPERIMENTS_S = 30.0  # between two looks at the names of experiments
WAIT_S, WAIT_STEP_S = 5.0, 0.05  # for the materialiser
Compiled = dict[tuple[str, int, int], Rule | None]  # by id, version and when it was saved; None: it is not evaluated
_KEYS = frozenset({Subject("alert_rules", "x").key, Subject("experiments", "x").key})

log = logging.getLogger("consumers.alerts")


class RuleBook:
    """The present rules. Every method raises StoreUnavailable while PostgreSQL is away."""

    def __init__(self, database: Database, topic: str) -> None:
        self._database, self._topic, self._rules = database, topic, AlertRules(database)
        self._stamp, self._next_poll, self._next_names = "", 0.0, 0.0
        self._stored: list[StoredRule] = []
        self._compiled: Compiled = {}
        self._names: dict[str, str] = {}

    async def changed(self, records: Sequence[Record] = ()) -> RuleIndex | None:
        """Return the rules if they have changed, also by what these records say; None if not."""
        hinted = [record for record in records if record.key in _KEYS]
        if hinted:
            await self._until_folded({record.partition: record.offset + 1 for record in hinted})
        now = time.monotonic()
        if not hinted and now < self._next_poll:
            return None
        self._next_poll = now + POLL_S
        stamp, names = await self._rules.stamp(), self._names
        if hinted or now >= self._next_names:
            self._next_names = now + EXPERIMENTS_S
            names = await self._rules.experiments()
        if (stamp, names) == (self._stamp, self._names):
            return None
        if stamp != self._stamp:
            self._stored = await self._rules.load()
        self._stamp, self._names = stamp, names
        rules = compiled_rules(self._stored, self._compiled)
        self._compiled = {_version_of(row): self._compiled[_version_of(row)] for row in self._stored}
        return RuleIndex(rules, names)

    async def _until_folded(self, wanted: Mapping[int, int]) -> None:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            now = await stored_offsets(self._database, CONSUMER, self._topic)
            if all(now.get(partition, 0) >= offset for partition, offset in wanted.items()):
                return
            await asyncio.sleep(WAIT_STEP_S)


def compiled_rules(stored: Sequence[StoredRule], known: Compiled | None = None) -> list[Rule]:
    """
    Return those of the rules that are enabled. One that cannot be evaluated is logged, once, and left out.

    `known`, to which rules are added, spares compiling the same versions again.
    """
    known = {} if known is None else known
    for row in stored:
        if _version_of(row) not in known:
            known[_version_of(row)] = _compiled(row) if row.enabled else None
    return [rule for row in stored if (rule := known[_version_of(row)]) is not None]


def _version_of(row: StoredRule) -> tuple[str, int, int]:
    return row.rule_id, row.version, row.saved


def _compiled(row: StoredRule) -> Rule | None:
    try:
        about = f"rule {row.rule_id!r:.60}"
        return compile_rule(row.rule_id, row.version, row.name, row.body, row.saved // 1_000, about)
    except BadSettings as error:
        log.warning("%s: it is not evaluated", error)
        return None
