"""
All kinds of faults at once, by a seeded plan; afterwards nothing is missing and nothing is stored twice.

The long one: `pytest -m slow -s tests/faults/test_chaos.py`, with CHAOS_SEED and CHAOS_S (seconds) for another plan.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.author import BadAuthor
from tests.faults.conservation_check import Balance, Model, prove, read_model
from tests.faults.plan import KINDS, Fault, plan
from tests.faults.system_under_test import PARTITIONS, TOPIC, System, running_system
from tests.support import services
from tests.support.gateway_command import gateway_with
from tests.support.materialiser_process import dump, environment, materialiser, until_folded

SHORT_S, SHORT_SEED = 20.0, 20261127  # the first seed from 20261121 with which a fault of each kind fits
STEP_S = 0.02
LONG_S, LONG_SEED = float(os.environ.get("CHAOS_S", "600")), int(os.environ.get("CHAOS_SEED", "1"))


def inject(system: System, faults: list[Fault], duration_s: float) -> None:
    """Execute the plan."""
    steps = sorted(
        [(fault.at_s, number, system.begin, fault) for number, fault in enumerate(faults)]
        + [(fault.until_s, number + len(faults), system.end, fault) for number, fault in enumerate(faults)],
        key=lambda step: step[:2],
    )
    start = time.monotonic()
    while steps or time.monotonic() - start < duration_s:
        while steps and steps[0][0] <= time.monotonic() - start:
            _, _, order, fault = steps.pop(0)
            order(fault)
        system.supervise()
        time.sleep(STEP_S)


def heal(system: System, author: BadAuthor, journals: Path) -> Model:
    """Let all processes finish and return the contents of the log."""
    system.settle()
    author.stop()
    assert [one.finish() for one in system.trainings] == [0, 0, 0], [one.output() for one in system.trainings]
    left = gateway_with(system.training_variables, "sync", str(journals), "--json")
    assert left.returncode == 0, left.stderr
    return services.run(read_model(system.broker.address, TOPIC, PARTITIONS))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the log lines of aiokafka about lost connections out of the report of a failure."""
    logger = logging.getLogger("aiokafka")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def until_all_folded(system: System, records: int) -> None:
    """Wait until all is folded and restart workers meanwhile, because a fenced worker may end."""
    deadline = time.monotonic() + 90
    while True:
        try:
            services.run(asyncio.wait_for(until_folded(system.database, TOPIC, records), 2))
            return
        except TimeoutError:
            system.supervise()
            assert time.monotonic() < deadline, system.texts()[-8_000:]


def check_emitted(system: System, model: Model) -> int:
    """Check that every emit that returned is in the log once, in order, with its value. Returns their number."""
    count = 0
    for training in system.trainings:
        for name, returned in training.counts().items():
            points = [p for (run, series, _), found in model.points.items() if series == name for p in found]
            assert [(step, value) for step, _, value in points] == [(n, n + 0.5) for n in range(len(points))], name
            assert returned <= len(points) <= returned + 1, name  # one may have been in progress at the kill
            count += returned
    return count


def rebuild(system: System, records: int, folder: Path) -> dict[str, list[str]]:
    """Fold the log again from offset 0 into an empty database, and return its rows."""
    fresh = services.run(services.create_database(system.server.dsn))
    with materialiser(folder, environment(system.broker.address, TOPIC, fresh)):
        services.run(until_folded(fresh, TOPIC, records, deadline_s=120 + records / 100))
    return services.run(dump(fresh))


def check_by_command(system: System) -> None:
    """Check that `gateway rebuild --check` agrees."""
    variables = environment(system.broker.address, TOPIC, system.database)
    settings = {name: value for name, value in variables.items() if name.startswith("GATEWAY_")}
    done = gateway_with(settings, "rebuild", "--check", "--json", timeout_s=600)
    assert done.returncode == 0, done.stdout + done.stderr


def tell(seed: int, faults: list[Fault], system: System, balance: Balance, sent: Counter[str], emitted: int) -> None:
    """Print the faults and the result."""
    times: Counter[str] = Counter(fault.kind for fault in faults)
    lines = [f"\nseed {seed}, {len(faults)} faults", f"{'fault':<44} {'times':>5} {'seconds':>8}"]
    for kind in sorted(times):
        lasted = sum(fault.until_s - fault.at_s for fault in faults if fault.kind == kind)
        lines.append(f"{kind:<44} {times[kind]:>5} {lasted:>8.1f}")
    lines += [f"{'record sent: ' + what:<44} {count:>5}" for what, count in sorted(sent.items())]
    lines += [f"worker ended by itself: {last:.200}" for last in system.unordered]
    lines.append(
        f"received {balance.received} = stored {balance.stored} + deduplicated {balance.deduplicated} "
        f"+ parked {balance.parked}; {balance.points} points, {emitted} emits; missing 0, twice 0; rebuild equal"
    )
    print("\n".join(lines))  # noqa: T201 - shown with -s


def chaos(seed: int, duration_s: float, folder: Path, scratch: Path, journals: Path) -> None:
    faults = plan(seed, duration_s)
    with quiet(), running_system(folder, scratch, journals) as system:
        author = BadAuthor(system.broker.address, TOPIC, seed)
        author.start()
        inject(system, faults, duration_s)
        model = heal(system, author, journals)
        until_all_folded(system, model.received)
        system.until_shared()
        system.stop()

        balance = services.run(prove(system.database, TOPIC, model))
        live = services.run(dump(system.database))
        again = rebuild(system, model.received, scratch)
        check_by_command(system)

    emitted = check_emitted(system, model)
    tell(seed, faults, system, balance, author.sent, emitted)
    assert balance.received == balance.stored + balance.deduplicated + balance.parked == model.received
    assert author.points == Counter(
        {run: sum(len(p) for key, p in model.points.items() if key[0] == run) for run in author.points}
    )
    assert len(model.ends) == PARTITIONS
    assert {fault.kind for fault in faults} == {kind.name for kind in KINDS}
    assert live == again
    assert system.unexpected() == []


@pytest.mark.stack
def test_everything_goes_wrong_for_twenty_seconds_and_the_books_balance(
    session_folder: Path, tmp_path: Path, journal_home: Path
) -> None:
    chaos(SHORT_SEED, SHORT_S, session_folder / "chaos-short", tmp_path, journal_home)


@pytest.mark.slow
@pytest.mark.stack
@pytest.mark.timeout(LONG_S + 900)
def test_everything_goes_wrong_for_ten_minutes_and_the_books_balance(
    session_folder: Path, tmp_path: Path, journal_home: Path
) -> None:
    chaos(LONG_SEED, LONG_S, session_folder / "chaos-long", tmp_path, journal_home)
