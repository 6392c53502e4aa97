"""
When a rule would have fired: the log again, from its first record, with the evaluator of the live process.

Records before `since` only build what is known of the runs. What comes out is what the process would have stored if the
rule had been saved at `since`, in the same words; docs/alerts.md names the few differences. Nothing is written, and a
back-test that is stopped leaves nothing behind: what fired until then is returned.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from consumers.alerts.consumer import MARGIN_MS
from consumers.alerts.evaluator.evaluator import Evaluator
from consumers.alerts.evaluator.rules import Rule, RuleIndex
from consumers.alerts.evaluator.state import RunState, Transition
from consumers.log.reader import LogReader
from consumers.log.record import Record
from consumers.log.security import security_arguments
from consumers.store.alerts.rules import AlertRules
from consumers.store.pool import Database
from consumers.store.run_partitions import RunPartitions, is_stray
from schemas.alerts import ALARM
from schemas.errors import LogUnavailable
from schemas.runtime.settings import Settings

FETCH_RECORDS, POLL_MS = 2_000, 500
AWAY_S = 30.0  # without a record while some are left


@dataclass
class TestProgress:
    """How far a back-test is."""

    __test__ = False  # no class of tests

    total: int = 0  # records that the log had at the start
    done: int = 0
    runs: int = 0
    is_complete: bool = False
    transitions: list[Transition] = field(default_factory=list)

    def add(self, found: Sequence[Transition]) -> None:
        """Add what fired, without alarms that code gave its metrics: they are no rule that is tested."""
        self.transitions += [one for one in found if not one.rule.id.startswith(ALARM)]


async def backtest(
    settings: Settings,
    database: Database,
    rules: Sequence[Rule],
    progress: TestProgress,
    is_stopping: Callable[[], bool] = lambda: False,
) -> None:
    """
    Evaluate rules on everything that the log holds now; `progress` gets what fires, also when it is stopped.

    Raises LogUnavailable, StoreUnavailable, LogDamaged.
    """
    index = RuleIndex(rules, await AlertRules(database).experiments())
    evaluator, partitions = Evaluator(index), RunPartitions(database, settings.topic)
    reader = LogReader(settings.need("kafka"), settings.topic, security_arguments(settings))
    try:
        await reader.open()
        now_ms = time.time_ns() // 1_000_000 - MARGIN_MS
        first, end = await reader.beginning_offsets(), await reader.end_offsets()
        left = {part: offset for part, offset in end.items() if offset > first[part]}
        progress.total = sum(end[part] - first[part] for part in left)
        await reader.assign({part: first[part] for part in left})
        silent_since = time.monotonic()
        while left and not is_stopping():
            records = await reader.fetch(timeout_ms=POLL_MS, max_records=FETCH_RECORDS, only=left)
            if records:
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since > AWAY_S:
                raise LogUnavailable(f"Kafka has sent no record for {AWAY_S:g} s, and {sum(left.values()):,} are left")
            wanted = [record for record in records if record.offset < end[record.partition]]
            known = await partitions.of_records(wanted, claim=False)
            await asyncio.to_thread(_evaluate, evaluator, wanted, known, progress)
            for record in records:
                if record.offset + 1 >= end[record.partition]:
                    left.pop(record.partition, None)
    finally:
        await reader.close()
    if not left:
        for partition in end:
            evaluator.pass_time(partition, now_ms)
        progress.add(evaluator.take_changes().transitions)
        progress.is_complete = True


def _evaluate(
    evaluator: Evaluator, records: Sequence[Record], known: Mapping[str, int], progress: TestProgress
) -> None:
    for record in records:
        run_id = (record.key or b"").decode(errors="replace")
        if is_stray(run_id, record.partition, known):
            continue
        if run_id not in evaluator.runs:
            evaluator.add(RunState(run_id, record.partition))
        evaluator.observe(record)
    progress.add(evaluator.take_changes().transitions)
    progress.done += len(records)
    progress.runs = sum(not run_id.startswith("/") for run_id in evaluator.runs)
