"""
Which runs a token that is limited to experiments sees in a stream of series.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from consumers.live.api.connections import Connections
from consumers.live.api.consistency import until_folded
from consumers.live.stream.positions import write_positions

FOLDED_S = 10.0  # the longest wait for the fold; after it the stream ends, and its reader continues where it was


class VisibleRuns:
    """Asks the store about each run once, and again when it may have moved."""

    def __init__(self, connections: Connections) -> None:
        """`connections` are those of the token."""
        self._connections = connections
        self._known: dict[str, bool] = {}  # at most the runs of one stream

    async def __call__(
        self, runs: Collection[str], moved: Collection[str], positions: Mapping[int, int]
    ) -> Collection[str]:
        """Return those of the runs that may be seen once the fold is at `positions`. Raises Failure 504."""
        for run_id in moved:
            self._known.pop(run_id, None)
        unknown = [run_id for run_id in runs if run_id not in self._known]
        if unknown:
            await until_folded(self._connections, write_positions(positions), FOLDED_S)
            async with self._connections.store().snapshot() as now:
                found = await now.series_charts.runs(unknown)
            self._known |= {run_id: run_id in found for run_id in unknown}
        return [run_id for run_id in runs if self._known[run_id]]
