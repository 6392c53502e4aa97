"""
Alerts: 10,000 rules against points at a given rate, with the process killed in between.

    python benchmarks/alerts.py               # 50,000 points/s for 60 s, two SIGKILLs
    python benchmarks/alerts.py --quick       # 10 s, one SIGKILL

A Kafka and a PostgreSQL of its own. The rules are saved through the log and folded; then points are written at the
rate while `python -m consumers.alerts` evaluates them, is killed, and is started again. At the end each firing that
was to come must be stored once, and a back-test of the same rules must say what was stored.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, process_time, sleep, time_ns
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the tree this file belongs to, whatever is installed

import asyncpg  # noqa: E402
from aiokafka import AIOKafkaProducer  # noqa: E402

from benchmarks.alert_load import POINTS, RUNS, Firing, Load, load, rules  # noqa: E402
from benchmarks.environments import Missing  # noqa: E402
from benchmarks.filled_log import Log, fill, fold, position, running_log  # noqa: E402
from benchmarks.history.figure import Figure, higher, lower  # noqa: E402
from benchmarks.history.keeping import add_keep, keep  # noqa: E402
from benchmarks.machine import caption, command_of, describe  # noqa: E402
from benchmarks.machine import load as load_average  # noqa: E402
from benchmarks.processes import scratch  # noqa: E402
from benchmarks.reference import LOOP, reference_us  # noqa: E402
from benchmarks.services import Server  # noqa: E402
from consumers.alerts.backtest import TestProgress, backtest  # noqa: E402
from consumers.alerts.evaluator.evaluator import Evaluator  # noqa: E402
from consumers.alerts.evaluator.rules import Rule, RuleIndex  # noqa: E402
from consumers.alerts.evaluator.state import RunState  # noqa: E402
from consumers.alerts.rulebook import compiled_rules  # noqa: E402
from consumers.log.record import Record  # noqa: E402
from consumers.store.alerts.rules import AlertRules  # noqa: E402
from consumers.store.pool import open_database  # noqa: E402
from gateway.local.command import Command  # noqa: E402
from gateway.local.supervision.process import end, spawn, wait_until  # noqa: E402
from schemas.runtime.settings import Settings  # noqa: E402
from schemas.wire import EncodedRecord, encode  # noqa: E402

ALERTS = "alerts"  # the name of its offsets
START_S, CAUGHT_UP_S = 120.0, 1_200.0
AHEAD_S = 0.02  # between two looks at what is to be written
ALONE_RECORDS = 4_000  # that the evaluator alone gets
_STORED = "SELECT rule_id, run_id, series, step, fired, message, resolved, resolution FROM alerts"


class Written(NamedTuple):
    """How the points came into the log and were evaluated."""

    seconds: float  # of writing
    behind: int  # records that were not evaluated when the last one was written
    caught_up_s: float  # after that


class Alerts:
    """The alerts process, which may be killed and started again."""

    def __init__(self, log: Log, folder: Path) -> None:
        folder.mkdir()
        (folder / "targets.yaml").write_text("targets: {log: {type: log}}\n")  # and no default: nothing is sent
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
        targets = {"GATEWAY_ALERT_TARGETS": str(folder / "targets.yaml"), "GATEWAY_READY_FILE": str(folder / "ready")}
        self._variables = {**inherited, **log.variables(folder), **targets, "PYTHONPATH": str(ROOT)}
        self._folder, self._ready = folder, folder / "ready"
        self.starts_s: list[float] = []  # from each start until it evaluates
        self.cpu_s = 0.0  # of all starts; the next: of these, after they were ready
        self.evaluating_cpu_s = 0.0
        self._start()

    def _start(self) -> None:
        self._ready.unlink(missing_ok=True)
        self._began, self._starting_cpu_s = monotonic(), -1.0
        command = Command([sys.executable, "-P", "-m", "consumers.alerts"], {}, folder=self._folder)
        with (self._folder / "alerts.log").open("ab") as output:
            self._child = spawn(command, output, environment=self._variables)

    def see_ready(self) -> bool:
        """Return whether it evaluates; the first time, note how long its start took."""
        if self._starting_cpu_s < 0 and self._ready.exists():
            self._starting_cpu_s = Server("", self._child.pid).cpu_s()
            self.starts_s.append(monotonic() - self._began)
        return self._starting_cpu_s >= 0

    def until_ready(self) -> None:
        """Wait for its start. Raises Missing."""
        if not wait_until(self.see_ready, self._child, START_S):
            words = (self._folder / "alerts.log").read_text(encoding="utf-8", errors="replace").split("\n")[-2:]
            raise Missing(f"the alerts process did not start: {' '.join(words).strip()[-300:]}")

    def kill(self, *, again: bool) -> None:
        """End it with SIGKILL, and start it again."""
        used = Server("", self._child.pid).cpu_s()
        self.cpu_s += used
        self.evaluating_cpu_s += max(0.0, used - self._starting_cpu_s) if self.see_ready() else 0.0
        end(self._child, timeout_s=10, stop_signal=signal.SIGKILL)
        if again:
            self._start()


@contextmanager
def running_alerts(log: Log, folder: Path) -> Iterator[Alerts]:
    """Yield an alerts process that evaluates."""
    alerts = Alerts(log, folder)
    try:
        alerts.until_ready()
        yield alerts
    finally:
        alerts.kill(again=False)


def main() -> None:
    """Measure and print; exit status 1 if a firing is missing, is there twice, or the back-test differs."""
    asked = _options().parse_args()
    seconds = 10.0 if asked.quick else asked.seconds
    kills = [0.5] if asked.quick else [0.35, 0.7]
    began, before, reference = monotonic(), load_average(), reference_us()
    with scratch() as name, running_log(Path(name)) as log:
        report(f"saving {asked.rules:,} rules")
        saved = [encode(one) for one in rules(asked.rules, time_ns() // 1_000)]
        known = fill(log, saved, report)
        fold(log, known, Path(name) / "materialiser", report)
        compiled = asyncio.run(_compiled(log))
        start = time_ns() // 1_000
        records = round(asked.rate * seconds / POINTS)
        work = load(records, start)
        encoded = [encode(one) for one in work.envelopes]
        alone = _evaluate_alone(compiled, encoded[: RUNS + ALONE_RECORDS])
        report(f"writing {work.points:,} points in {len(encoded):,} records")
        cpu = {"Kafka": log.kafka.cpu_s(), "PostgreSQL": log.store.cpu_s()}
        with running_alerts(log, Path(name) / "alerts") as alerts:
            written = asyncio.run(_write(log, alerts, encoded, known, (asked.rate, [seconds * at for at in kills])))
        cpu = {"Kafka": log.kafka.cpu_s() - cpu["Kafka"], "PostgreSQL": log.store.cpu_s() - cpu["PostgreSQL"]}
        stored, transitions = asyncio.run(_stored(log))
        report("testing the same rules on the log")
        tested_s, tested = asyncio.run(_back_tested(log, compiled, Path(name)))
    command = command_of("python benchmarks/alerts.py", sys.argv[1:])
    facts = describe(command, (), (before, load_average()), monotonic() - began)
    lines = [f"{asked.rules:,} rules", *_speed(work, written, alerts, alone, cpu)]
    lines += [_firings(work, stored), _back_test(transitions, tested, tested_s)]
    print(json.dumps({"machine": facts, "lines": lines}) if asked.json else "\n".join([*lines, caption(facts)]))
    keep(asked.keep, facts, _figures(work, written, alerts, alone, stored, reference))
    raise SystemExit(0 if sorted(stored) == sorted(work.expected) and transitions == tested else 1)


def report(text: str) -> None:
    """Say on stderr what is being done."""
    print(text, file=sys.stderr, flush=True)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure alerts: rules against points, over kills, and a back-test.")
    parser.add_argument("--quick", action="store_true", help="10 s of points and one kill; about a minute")
    parser.add_argument("--rules", type=int, default=10_000, help="rules (default: 10,000)")
    parser.add_argument("--rate", type=int, default=50_000, help="points a second (default: 50,000)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long points are written, s (default: 60)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_keep(parser)
    return parser


async def _compiled(log: Log) -> list[Rule]:
    database = await open_database(log.store.address)
    try:
        return compiled_rules(await AlertRules(database).load())
    finally:
        await database.close()


def _evaluate_alone(compiled: Sequence[Rule], encoded: Sequence[EncodedRecord]) -> float:
    """Return how many points a second of processor time the evaluator alone takes: no log, no store."""
    now = time_ns() // 1_000_000
    records = [
        Record("t", 0, offset, one.key, one.value, tuple(one.headers), now) for offset, one in enumerate(encoded)
    ]
    evaluator = Evaluator(RuleIndex(compiled))
    for run in range(RUNS):
        evaluator.add(RunState(f"run{run}", 0))
    begin = process_time()
    for record in records:
        evaluator.observe(record)
    assert evaluator.take_changes().transitions
    return (len(records) - RUNS) * POINTS / (process_time() - begin)


async def _write(
    log: Log, alerts: Alerts, encoded: Sequence[EncodedRecord], known: int, plan: tuple[float, list[float]]
) -> Written:
    """Write at a rate and kill at some times; return once everything is evaluated."""
    rate, kills = plan
    producer = AIOKafkaProducer(
        bootstrap_servers=log.kafka.address, enable_idempotence=True, compression_type="zstd", linger_ms=20
    )
    await producer.start()
    sent: list[asyncio.Future[Any]] = []
    begin = monotonic()
    try:
        while len(sent) < len(encoded):
            due = RUNS + int((monotonic() - begin) * rate / POINTS)
            for one in encoded[len(sent) : due]:
                sent.append(await producer.send(log.topic, key=one.key, value=one.value, headers=list(one.headers)))
            alerts.see_ready()
            if kills and monotonic() - begin > kills[0]:
                kills.pop(0)
                alerts.kill(again=True)
                report(f"killed after {monotonic() - begin:.1f} s")
            await asyncio.sleep(AHEAD_S)
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
    seconds, total = monotonic() - begin, known + len(encoded)
    behind = await asyncio.to_thread(lambda: total - position(log, ALERTS))
    await asyncio.to_thread(_until_evaluated, log, alerts, total)
    caught_up = monotonic() - begin - seconds
    return Written(seconds, behind, caught_up)


def _until_evaluated(log: Log, alerts: Alerts, total: int) -> None:
    deadline = monotonic() + CAUGHT_UP_S
    while (done := position(log, ALERTS)) < total:
        alerts.see_ready()
        if monotonic() > deadline:
            raise Missing(f"{done:,} of {total:,} records were evaluated within {CAUGHT_UP_S:g} s")
        sleep(0.05)


async def _stored(log: Log) -> tuple[list[Firing], list[tuple[Any, ...]]]:
    """Return the firings that are stored, and all transitions in the form of `_back_tested`."""
    connection = await asyncpg.connect(log.store.address)
    try:
        rows = await connection.fetch(_STORED)
    finally:
        await connection.close()
    firings = [Firing(row["rule_id"], row["run_id"], row["series"], row["step"]) for row in rows]
    transitions: list[tuple[Any, ...]] = []
    for row in rows:
        about = row["rule_id"], row["run_id"], row["series"]
        transitions.append((*about, True, row["fired"], row["message"]))
        if row["resolved"] is not None:
            transitions.append((*about, False, row["resolved"], row["resolution"]))
    return firings, sorted(transitions)


async def _back_tested(log: Log, compiled: Sequence[Rule], folder: Path) -> tuple[float, list[tuple[Any, ...]]]:
    """Return how long a back-test of all rules takes, and the transitions that it finds."""
    begin, progress = monotonic(), TestProgress()
    database = await open_database(log.store.address)
    try:
        settings = Settings(kafka=log.kafka.address, topic=log.topic, postgres=log.store.address, home=folder)
        await backtest(settings, database, compiled, progress)
    finally:
        await database.close()
    found = [(one.rule.id, one.run_id, one.series, one.fired, one.time, one.message) for one in progress.transitions]
    return monotonic() - begin, sorted(found)


def _speed(work: Load, written: Written, alerts: Alerts, alone: float, cpu: dict[str, float]) -> list[str]:
    per_point = 1e6 * alerts.evaluating_cpu_s / work.points
    others = ", ".join(f"{name} {1e6 * used / work.points:.1f} µs" for name, used in cpu.items())
    starts = ", ".join(f"{one:.1f}" for one in alerts.starts_s)
    starting = alerts.cpu_s - alerts.evaluating_cpu_s
    end_to_end = work.points / (written.seconds + written.caught_up_s)
    return [
        f"evaluator alone: {alone:,.0f} points/s of processor time, 5 rules about each point",
        f"end to end: {work.points:,} points written at {work.points / written.seconds:,.0f}/s over "
        f"{len(alerts.starts_s) - 1} SIGKILLs; {written.behind:,} records behind at the end, and none "
        f"{written.caught_up_s:.1f} s later: {end_to_end:,.0f} points/s",
        f"processor time a point: evaluating {per_point:.1f} µs; {others} (with what else uses them)",
        f"starts: {starts} s until it evaluates; processor time of all {starting:.1f} s",
    ]


def _figures(
    work: Load, written: Written, alerts: Alerts, alone: float, stored: Sequence[Firing], reference: float
) -> list[Figure]:
    """Return the figures for the history; CPU times are compared with that of the reference loop, µs."""
    found, loop = Counter(stored), {LOOP: reference}
    return [
        lower("evaluator alone: CPU", 1e6 / alone, "µs/point", loop),
        lower("evaluating: CPU", 1e6 * alerts.evaluating_cpu_s / work.points, "µs/point", loop, bound=1.5),
        higher("end to end", work.points / (written.seconds + written.caught_up_s), "points/s"),
        lower("behind at the end", written.behind, "records"),
        lower("firings missing", (Counter(work.expected) - found).total(), "firings"),
        lower("firings twice", sum(count - 1 for count in found.values()), "firings"),
    ]


def _firings(work: Load, stored: Sequence[Firing]) -> str:
    wanted, found = Counter(work.expected), Counter(stored)
    twice = sum(count - 1 for count in found.values())
    missing, others = (wanted - found).total(), len(found.keys() - wanted.keys())
    return (
        f"firings: {len(wanted):,} expected, {len(found):,} found, {missing:,} missing, {twice:,} twice, "
        f"{others:,} others"
    )


def _back_test(stored: Sequence[tuple[Any, ...]], tested: Sequence[tuple[Any, ...]], seconds: float) -> str:
    is_equal = "equal to" if stored == tested else "NOT equal to"
    return f"back-test: {len(tested):,} transitions in {seconds:.1f} s, {is_equal} the {len(stored):,} that are stored"


if __name__ == "__main__":
    main()
