"""
Kill a replay at random moments, inject faults into its server, restart it each time, and count everything.

Some of the kills happen during the start, the others shortly after the replay has reached a given share of the log:
each process lives as long as it needs to get there. In between, MLflow's server is killed and started again, and
requests to it are refused, asked to retry, cut off, and answered too late or with garbage after they took effect.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random
from time import monotonic, sleep
from typing import Any, NamedTuple

from benchmarks.environments import Missing
from benchmarks.filled_log import MATERIALISER, Log, delivered, position
from benchmarks.replays import replay_to_the_end, start_replay
from benchmarks.targets import MlflowServer, Target
from benchmarks.watched import Watched
from tests.support.http_fault_proxy import HttpFaults, faulty_proxy

EARLY_SHARE, EARLY_S = 0.2, 3.0  # share of the kills that happen within this many seconds of a start
LATER_S = 0.5  # at most, between reaching a share of the log and the kill
LAST_SHARE = 0.9  # of the log: after it, the replay might end first
LOOK_S = 0.05
STALLED_S = 180.0
ASK_S = 0.5
SERVER_KILLED = "MLflow server killed"


class Kills(NamedTuple):
    """How a replay is killed."""

    number: int
    seed: int
    points: int  # of the history: a small one is throttled, so that it lasts a second for each kill
    fault_share: float = 0.005  # of the requests to MLflow: after one fault a whole call is sent again
    server_lives_s: tuple[float, float] = (20.0, 120.0)  # of MLflow's server, least and most: its start takes 10 s
    timeout_s: int = 10  # of a request, instead of a minute, so that timeouts do not take all day


def killed_replay(
    log: Log, target: Target, folder: Path, wanted: Kills, report: Callable[[str], None]
) -> dict[str, Any]:
    """Deliver everything to a tracker in spite of the kills; return the counts. Raises Missing."""
    kills, seed = wanted.number, wanted.seed
    dice, began, faults = Random(seed), monotonic(), dict[str, int]()
    with ExitStack() as stack:
        variables: dict[str, str] = {}
        injector = None
        if target.server is not None:
            line = stack.enter_context(faulty_proxy(target.server.port, seed=seed))
            line.late_s, line.probability = wanted.timeout_s + 1.0, wanted.fault_share
            variables = {"GATEWAY_MLFLOW_URL": line.url, "MLFLOW_HTTP_REQUEST_TIMEOUT": str(wanted.timeout_s)}
            injector = FaultInjector(target.server, line, Random(seed + 1), wanted.server_lives_s)
        done = _kill(log, target, folder, _plan(kills, dice), wanted.points / kills, variables, injector, report)
        if injector is not None:
            faults = injector.heal()
    report(f"{faults}; no more faults: one more start, to the end")
    last = replay_to_the_end(log, target, folder, report)[1]
    again = replay_to_the_end(log, target, folder, report)[1]
    if again["records"]:
        raise Missing(f"run once more, the replay delivered {again['records']} records again")
    return {
        "kills": done, "starts": done + 2, "faults": faults, "seconds": monotonic() - began,
        "parked": last["parked"],
    }  # fmt: skip


def _plan(kills: int, dice: Random) -> list[tuple[float, float]]:
    """Return for each kill a share of the log, and seconds after reaching it; a share of 0 means after the start."""
    early = round(kills * EARLY_SHARE)
    shares = sorted(dice.uniform(0.0, LAST_SHARE) for _ in range(kills - early))
    plan: list[tuple[float, float]] = [(share, dice.uniform(0.0, LATER_S)) for share in shares]
    for _ in range(early):
        plan.insert(dice.randint(0, len(plan)), (0.0, dice.uniform(0.0, EARLY_S)))
    return plan


def _kill(
    log: Log, target: Target, folder: Path, plan: list[tuple[float, float]], throttle: float, more: dict[str, str],
    injector: FaultInjector | None, report: Callable[[str], None],
) -> int:  # fmt: skip
    """Start the replay for each kill of the plan; return how many kills happened: a small history may end before."""
    whole = position(log, MATERIALISER)

    def look() -> int:
        if injector is not None:
            injector.look()
        return delivered(log, target.name)

    for number, (share, seconds) in enumerate(plan, 1):
        running = start_replay(log, target, folder, ("--throttle", f"{throttle:.0f}"), **more)
        try:
            is_alive = _live(running, look, goal=share * whole, seconds=seconds)
        finally:
            running.kill()
        if not is_alive:
            if running.result().status:
                raise Missing(f"the replay failed by itself: {running.last_words()}")
            return number - 1
        report(f"kill {number} of {len(plan)}, {look():,} of {whole:,} records were delivered")
    return len(plan)


def _live(running: Watched, look: Callable[[], int], *, goal: float, seconds: float) -> bool:
    """
    Let a replay run until it has reached `goal` records and made progress, and `seconds` longer.

    Without a goal the seconds count from its start. Returns False when the replay ended before.
    """
    first = last = look()
    moved = monotonic()
    die_at = None if goal else moved + seconds
    while die_at is None or monotonic() < die_at:
        if running.is_over():
            return False
        done, now = look(), monotonic()
        if done > last:
            last, moved = done, now
        if die_at is None and done > first and done >= goal:
            die_at = now + seconds
        if now - moved > STALLED_S:
            raise Missing(f"the replay is stuck at {done:,} records: {running.last_words()}")
        sleep(LOOK_S)
    return True


class FaultInjector:
    """Kills MLflow's server from time to time; the code that waits calls `look` again and again."""

    def __init__(self, server: MlflowServer, line: HttpFaults, dice: Random, lives_s: tuple[float, float]) -> None:
        self._server, self._line, self._dice, self._lives_s = server, line, dice, lives_s
        self._die_at = monotonic() + dice.uniform(*lives_s)
        self._up_at: float | None = None  # while it is dead
        self._asked_at: float | None = None  # while it starts
        self._killed = 0

    def look(self) -> None:
        """Kill or start the server if it is time for that."""
        now = monotonic()
        if self._up_at is not None and now >= self._up_at:
            self._server.launch()
            self._up_at, self._asked_at = None, now
        elif self._asked_at is not None:  # its life begins once it serves, however long its start takes
            if now >= self._asked_at + ASK_S:
                self._asked_at = None if self._server.serves() else now
                self._die_at = monotonic() + self._dice.uniform(*self._lives_s)
        elif self._up_at is None and now >= self._die_at:
            self._server.kill()
            self._killed += 1
            self._up_at = now + self._dice.uniform(0.0, 2.0)

    def heal(self) -> dict[str, int]:
        """Stop all faults, wait for the server, and return how many times each fault happened."""
        self._line.probability = 0.0
        if self._up_at is not None:
            self._server.launch()
        self._server.wait()
        return {**self._line.injected, SERVER_KILLED: self._killed}
