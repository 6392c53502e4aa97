"""
Decide when to retry runs whose last delivery call never returned because the process died or abandoned it.

Pure: the clock is passed in. A process that dies cannot record which call it died in, so every run that was in a call
is quarantined: it is called after the others, on half of the threads at most. After ALONE consecutive unanswered calls
a run is called alone, after a pause that doubles each time: others continue during the pause, and if the process ends
again, this run caused it. After HOPELESS such calls the run is parked. A call that hangs is known to belong to its run,
which is parked after ALONE calls if its tracker accepted something in the meantime.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

ALONE, HOPELESS = 3, 6
SMALLER = 4  # each unanswered call divides the size of the next one by this
PAUSE = 1 / 6  # before the first call alone, as a part of the timeout of a call: 20 s of 120 s


class Quarantine:
    """Runs of one tracker with calls that never returned."""

    def __init__(self, unanswered: Mapping[str, int], began: float, *, call_s: float, threads: int) -> None:
        """
        Start with consecutive unanswered calls by run, as earlier processes left them.

        `began` is the start of this process on the clock of `choose`, `call_s` the timeout of a call in seconds.
        """
        self._counts = dict(unanswered)
        # Kept after the run answers: then the size of its calls was the cause.
        self._divisors: dict[str, int] = {run: int(SMALLER ** min(count, 8)) for run, count in unanswered.items()}
        self._began, self._pause_s, self._most = began, call_s * PAUSE, max(1, threads // 2)

    def release(self, run_id: str) -> None:
        """Treat this run like any other: one of its calls returned."""
        self._counts.pop(run_id, None)

    def unanswered(self, run_id: str) -> int:
        """Return how many consecutive calls of this run never returned to earlier processes."""
        return self._counts.get(run_id, 0)

    def size_divisor(self, run_id: str) -> int:
        """Return by how much smaller a call of this run must be: the tracker may just be slow for it."""
        return self._divisors.get(run_id, 1)

    def hopeless(self) -> dict[str, str]:
        """Return the runs to park, each with the reason."""
        return {
            run: f"the process ended {count} times in a call for this run, {count - ALONE} of them while nothing else "
            "was called: see its log, then try again with `gateway trackers retry`"
            for run, count in self._counts.items()
            if count >= HOPELESS
        }

    def choose(self, ready: Sequence[str], calling: Collection[str], free: int, now: float) -> list[str]:
        """Return at most `free` of the runs that are ready, while the runs `calling` are in a call."""
        if not self._counts:
            return list(ready[:free])
        if any(self._is_alone(run) for run in calling):
            return []
        if due := [run for run in ready if self._is_alone(run) and now >= self._due(run)]:
            return due[:1] if free and not calling else []  # calls under way end first
        calm = [run for run in ready if run not in self._counts]
        doubtful = sorted((run for run in ready if 0 < self.unanswered(run) < ALONE), key=self.unanswered)
        held = sum(run in self._counts for run in calling)
        kept = 1 if doubtful and not held else 0  # otherwise runs that are always ready would block these for ever
        chosen = calm[: max(0, free - kept)]
        return chosen + doubtful[: max(0, min(free - len(chosen), self._most - held))]

    def __len__(self) -> int:
        """Return how many runs are quarantined."""
        return len(self._counts)

    def _is_alone(self, run_id: str) -> bool:
        return self.unanswered(run_id) >= ALONE

    def _due(self, run_id: str) -> float:
        return self._began + self._pause_s * 2.0 ** (min(self._counts[run_id], 20) - ALONE)
