"""What the store would hold after some transactions of the fold, without a database."""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import Any

from consumers.materialiser.fold.chunks import finalise_chunks
from consumers.materialiser.fold.fold import fold, series_to_restore
from consumers.materialiser.fold.state import FoldState
from consumers.store.rows import Changes, ChunkRow, SeriesRow
from schemas import events as ev
from schemas.wire import Envelope, ProducerId, RunId


def envelopes_of(run: str, producer: str, events: list[ev.AnyEvent]) -> list[Envelope]:
    """Return these events as the records of one producer, numbered from 0."""
    return [Envelope(RunId(run), ProducerId(producer), seq, event.time, event) for seq, event in enumerate(events)]


class Store:
    """The rows that the store would hold after these envelopes: the last row of each key."""

    def __init__(self) -> None:
        self.state = FoldState()
        self.chunks: dict[Any, ChunkRow] = {}

    def apply(self, envelopes: list[Envelope]) -> None:
        changes = Changes()
        for key in series_to_restore(envelopes, self.state):
            self._restore(self.state.series[key])
        for offset, envelope in enumerate(envelopes):
            fold(self.state, changes, envelope, 0, offset)
        finalise_chunks(changes)
        for series, first in changes.reopened.items():
            self.chunks = {key: row for key, row in self.chunks.items() if key[0] != series or key[1] < first}
        assert not self.chunks.keys() & changes.chunks.keys()
        self.chunks |= changes.chunks

    def _restore(self, row: SeriesRow) -> None:
        loaded = replace(row, tail=[], steps=array("q"), times=array("q"), values=array("d"), held=row.open_index)
        for index, chunk in sorted(
            (index, chunk) for (series, index), chunk in self.chunks.items() if series == row.series_id
        ):
            if index >= row.open_index:
                loaded.take_up(index, chunk.steps, chunk.times, chunk.point_values)
        row.restore(loaded)

    def restart(self) -> None:
        """Discard the open points and load them again from their rows."""
        for key, state in self.state.series.items():
            row = replace(state, tail=[], steps=array("q"), times=array("q"), values=array("d"))
            row.loose = row.held = row.open_index
            self.state.series[key] = row
            stored = sorted((index, chunk) for (series, index), chunk in self.chunks.items() if series == key)
            for index, chunk in stored:
                if index >= row.open_index:
                    row.take_up(index, chunk.steps, chunk.times, chunk.point_values)
        self.state.row_sets.clear()

    def trim(self) -> None:
        """Forget all open points that are stored and need not change before their chunk is full."""
        self.state.trim(0)
