"""
Decide when runs are called whose last calls never came back: the process died in them, or gave them up.

Pure: the clock comes in as a value. A process that dies does not say in which call. So runs that were being called
come after the others, half of the threads at most. After ALONE such calls in a row a run is called alone, after a pause
that doubles: others go on meanwhile, and if the process ends again, it was this run. After HOPELESS it is parked. A
call that hangs is known to be this run's, and parks it after ALONE, if its tracker took something meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

ALONE, HOPELESS = 3, 6
SMALLER = 4  # each such call makes the next one carry so many times less
PAUSE = 1 / 6  # before the first call alone, as a part of the bound of a call: 20 s of 120 s


class Suspects:
    """Runs of one tracker with calls that never came back."""

    def __init__(self, unanswered: Mapping[str, int], began: float, *, call_s: float, threads: int) -> None:
        self._counts = dict(unanswered)
        # Also once it answers: then it was the size.
        self._shares: dict[str, int] = {run: int(SMALLER ** min(count, 8)) for run, count in unanswered.items()}
        self._began, self._pause_s, self._most = began, call_s * PAUSE, max(1, threads // 2)

    def answered(self, run_id: str) -> None:
        """A call of this run came back: it is like any other."""
        self._counts.pop(run_id, None)

    def unanswered(self, run_id: str) -> int:
        """Return how many calls of this run in a row never came back to earlier processes."""
        return self._counts.get(run_id, 0)

    def share(self, run_id: str) -> int:
        """Return by how much less a call for this run carries than others: its place may just be slow."""
        return self._shares.get(run_id, 1)

    def choose(self, ready: Sequence[str], calling: Collection[str], free: int, now: float) -> list[str]:
        """Return at most `free` of the runs that are ready, while calls for others are under way."""
        if not self._counts:
            return list(ready[:free])
        if any(self._is_alone(run) for run in calling):
            return []
        if due := [run for run in ready if self._is_alone(run) and now >= self._due(run)]:
            return due[:1] if free and not calling else []  # who is under way ends first
        calm = [run for run in ready if run not in self._counts]
        doubtful = sorted((run for run in ready if 0 < self.unanswered(run) < ALONE), key=self.unanswered)
        held = sum(run in self._counts for run in calling)
        kept = 1 if doubtful and not held else 0  # so that those who never rest do not keep them out for ever
        chosen = calm[: max(0, free - kept)]
        return chosen + doubtful[: max(0, min(free - len(chosen), self._most - held))]

    def __len__(self) -> int:
        return len(self._counts)

    def _is_alone(self, run_id: str) -> bool:
        return self.unanswered(run_id) >= ALONE

    def _due(self, run_id: str) -> float:
        return self._began + self._pause_s * 2.0 ** (min(self._counts[run_id], 20) - ALONE)


def hopeless(unanswered: Mapping[str, int]) -> dict[str, str]:
    """Return the runs to be parked, each with the reason."""
    return {
        run: f"the process ended {count} times in a call for this run, {count - ALONE} of them while nothing else was "
        "called: see its log, then try again with `gateway trackers retry`"
        for run, count in unanswered.items()
        if count >= HOPELESS
    }
