"""
Kill a replay at random moments, spoil what it talks to, start it again, and count all of it.

A part of the kills comes at a moment of the start, the others somewhat after the replay got on to a place of the log:
each process lives as long as it needs to get there. Between them MLflow's server is killed and started again, and
requests to it are refused, put off, cut off, and answered too late or with garbage after they took effect.
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
from benchmarks.places import MlflowServer, Place
from benchmarks.replays import replay_to_the_end, start_replay
from benchmarks.watched import Watched
from tests.support.http_fault_proxy import HttpFaults, faulty_proxy

EARLY_SHARE, EARLY_S = 0.2, 3.0  # of the kills come within so many seconds of a start
LATER_S = 0.5  # at most, from a place of the log to the kill
LAST_PLACE = 0.9  # of the log: later, the replay might end first
LOOK_S = 0.05
STALLED_S = 180.0
ASK_S = 0.5
SERVER_KILLED = "MLflow server killed"


class Kills(NamedTuple):
    """How often a replay is killed."""

    number: int
    seed: int
    points: int  # of the history: a small one is held back, that it lasts a second for each kill
    spoiled: float = 0.005  # of the requests to MLflow: for one of them a whole call is sent again
    server_lives_s: tuple[float, float] = (20.0, 120.0)  # MLflow's, at least and at most: it starts for 10 s
    timeout_s: int = 10  # of a request, instead of a minute: timeouts must not take all day


def killed_replay(log: Log, place: Place, folder: Path, wanted: Kills, tell: Callable[[str], None]) -> dict[str, Any]:
    """Bring everything to a tracker in spite of so many kills; return the counts. Raises Missing."""
    kills, seed = wanted.number, wanted.seed
    dice, began, faults = Random(seed), monotonic(), dict[str, int]()
    with ExitStack() as stack:
        variables: dict[str, str] = {}
        spoiler = None
        if place.server is not None:
            line = stack.enter_context(faulty_proxy(place.server.port, seed=seed))
            line.late_s, line.probability = wanted.timeout_s + 1.0, wanted.spoiled
            variables = {"GATEWAY_MLFLOW_URL": line.url, "MLFLOW_HTTP_REQUEST_TIMEOUT": str(wanted.timeout_s)}
            spoiler = Spoiler(place.server, line, Random(seed + 1), wanted.server_lives_s)
        done = _kill(log, place, folder, _plan(kills, dice), wanted.points / kills, variables, spoiler, tell)
        if spoiler is not None:
            faults = spoiler.heal()
    tell(f"{faults}; all is well now: one more start, to the end")
    last = replay_to_the_end(log, place, folder, tell)[1]
    again = replay_to_the_end(log, place, folder, tell)[1]
    if again["records"]:
        raise Missing(f"run once more, the replay brought {again['records']} records again")
    return {
        "kills": done, "starts": done + 2, "faults": faults, "seconds": monotonic() - began,
        "parked": last["parked"],
    }  # fmt: skip


def _plan(kills: int, dice: Random) -> list[tuple[float, float]]:
    """Return for each kill a place of the log, as a share of it, and seconds from there, or from the start."""
    early = round(kills * EARLY_SHARE)
    places = sorted(dice.uniform(0.0, LAST_PLACE) for _ in range(kills - early))
    plan: list[tuple[float, float]] = [(place, dice.uniform(0.0, LATER_S)) for place in places]
    for _ in range(early):
        plan.insert(dice.randint(0, len(plan)), (0.0, dice.uniform(0.0, EARLY_S)))
    return plan


def _kill(
    log: Log, place: Place, folder: Path, plan: list[tuple[float, float]], throttle: float, more: dict[str, str],
    spoiler: Spoiler | None, tell: Callable[[str], None],
) -> int:  # fmt: skip
    """Start the replay for each kill of the plan; return how many it lived to see: a small history ends before."""
    whole = position(log, MATERIALISER)

    def look() -> int:
        if spoiler is not None:
            spoiler.look()
        return delivered(log, place.name)

    for number, (share, seconds) in enumerate(plan, 1):
        running = start_replay(log, place, folder, ("--throttle", f"{throttle:.0f}"), **more)
        try:
            is_alive = _live(running, look, goal=share * whole, seconds=seconds)
        finally:
            running.kill()
        if not is_alive:
            if running.took().status:
                raise Missing(f"the replay ended by itself: {running.last_words()}")
            return number - 1
        tell(f"kill {number} of {len(plan)}, {look():,} of {whole:,} records were delivered")
    return len(plan)


def _live(running: Watched, look: Callable[[], int], *, goal: float, seconds: float) -> bool:
    """
    Let a replay live until it has come to `goal`, and got on at all, and so many seconds longer; without a goal from
    its start. Return False when it ended before.
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
            raise Missing(f"the replay stands at {done:,} records: {running.last_words()}")
        sleep(LOOK_S)
    return True


class Spoiler:
    """Kills MLflow's server now and then; `look` is called all the time by the one who waits."""

    def __init__(self, server: MlflowServer, line: HttpFaults, dice: Random, lives_s: tuple[float, float]) -> None:
        self._server, self._line, self._dice, self._lives_s = server, line, dice, lives_s
        self._die_at = monotonic() + dice.uniform(*lives_s)
        self._up_at: float | None = None  # while it is dead
        self._asked_at: float | None = None  # while it starts
        self._killed = 0

    def look(self) -> None:
        """Do what it is time for."""
        now = monotonic()
        if self._up_at is not None and now >= self._up_at:
            self._server.launch()
            self._up_at, self._asked_at = None, now
        elif self._asked_at is not None:  # its life begins when it serves, however long that takes
            if now >= self._asked_at + ASK_S:
                self._asked_at = None if self._server.serves() else now
                self._die_at = monotonic() + self._dice.uniform(*self._lives_s)
        elif self._up_at is None and now >= self._die_at:
            self._server.kill()
            self._killed += 1
            self._up_at = now + self._dice.uniform(0.0, 2.0)

    def heal(self) -> dict[str, int]:
        """Have everything well again; return how often each fault happened."""
        self._line.probability = 0.0
        if self._up_at is not None:
            self._server.launch()
        self._server.wait()
        return {**self._line.injected, SERVER_KILLED: self._killed}
