"""
Write and read an offline run file: W&B's records, numbered, framed, and closed once the run is over.

One `RunFileWriter` serves one delivery: it starts where the stored state says that the file ends, and its own state
says where the file ends afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2 as pb

from consumers.trackers.files.append import AGAIN
from consumers.trackers.run_start import Opening, fold_opening
from consumers.trackers.wandb.definitions import (
    BestValues,
    WandbDefinition,
    fold_best,
    fold_definitions,
    wandb_definitions,
)
from consumers.trackers.wandb.edits import cells_of
from consumers.trackers.wandb.file import DamagedRunFile, frame, read
from consumers.trackers.wandb.translate import (
    SCOPE_KEY,
    STEP_KEY,
    HistoryRow,
    RunEnd,
    RunHeader,
    config_items,
    dump,
    float_json,
    fold_end,
    fold_header,
    history_rows,
    read_float,
    to_instant,
    to_seconds,
)
from schemas.errors import TrackerRefused
from schemas.mapping.names import wandb_name

RECORDS_AT_ONCE = 1_000  # of a file that is rewritten


class RunFileWriter:
    """The bytes that one delivery appends, and the state after it."""

    def __init__(self, run_id: str, state: dict[str, Any], project: str) -> None:
        self.state = state
        self.body = b""
        self.tail = b""
        self._run_id = run_id
        self._project = project
        self._records: list[bytes] = []
        self._position = state["length"]

    def write_events(self, events: Sequence[Any]) -> None:
        """Write what the events add to the file's body, then its tail if the run is over."""
        before, begun = RunHeader(**self.state["head"]), self.state["started"]
        stored = self.state.get("opening") or (self._position and [begun, begun, 1, before.name, before.project])
        opening = fold_opening(Opening(*stored) if stored else None, events)
        self.state |= {"opening": list(opening), "started": opening.shown}
        header = fold_header(before, events)._replace(name=opening.name)
        items = config_items(events)
        items |= {"gw.tag": dump(opening.tag)} if "gw.tag" in items else {}
        if not self._position:
            header = header._replace(project=opening.tag or self._project)
            self._write_first(header)
        elif header != before or opening.shown != begun:
            self._write_run(header)
            items |= {"gw.started_at": dump(to_instant(opening.shown))} if opening.shown != begun else {}
        self._write_config(items)
        self._define(events)
        self._write_history(history_rows(events))
        self._write_best(events)
        self.body = self._flush()
        end = fold_end(RunEnd(*self.state["end"]) if self.state["end"] else None, events)
        self.state |= {"head": header._asdict(), "end": end and list(end)}
        self._close()

    def rewrite(self, records: Iterable[Any]) -> Iterator[bytes]:
        """Yield the whole file, given the edited records of its body."""
        last: dict[str, str] = {}
        best = BestValues({}, self.state.get("defined", {}))
        for record in records:
            self.state["records"] += 1
            record.num = self.state["records"]
            if record.WhichOneof("record_type") == "history":
                cells = cells_of(record)
                last.update(cells)
                for key, text in cells.items():
                    best.add(wandb_name(key), read_float(text))
                _number_row(record, self.state["rows"])
                self.state["rows"] += 1
            self._add(record)
            if len(self._records) >= RECORDS_AT_ONCE:
                yield self._flush()
        self._write_run(RunHeader(**self.state["head"]))
        if "best" in self.state:
            self.state["best"] = best.values()
            last |= {key: float_json(value) for key, value in self.state["best"].items()}
        self._write_summary(last)
        yield self._flush()
        self._close()
        yield self.tail

    def _close(self) -> None:
        """Write the tail if the run is over, and record the length of the file."""
        self.state["length"] = self._position
        end = RunEnd(*self.state["end"]) if self.state["end"] else None
        if end is not None and end.time is not None:
            counted = self.state["records"]
            self._write_end(end, end.time)
            self.tail = self._flush()
            self.state["records"] = counted  # the next append cuts the tail off
        self.state["size"] = self.state["length"] + len(self.tail)

    def _write_first(self, header: RunHeader) -> None:
        first = self._record()
        first.header.version_info.producer = version("wandb")
        self._add(first)
        self._write_run(header)
        self._write_config({"gw.run_id": dump(self._run_id), "gw.started_at": dump(to_instant(self.state["started"]))})
        axis = self._record()
        axis.metric.name = STEP_KEY
        self._add(axis)
        every = self._record()
        every.metric.glob_name, every.metric.step_metric = "*", STEP_KEY
        every.metric.options.step_sync = True
        self._add(every)

    def _define(self, events: Sequence[Any]) -> None:
        """Write what the events say of metrics."""
        before = self.state.get("defined", {})
        known = fold_definitions(before, events, has_rows=self.state["rows"] > 0)
        if known != before:
            self.state["defined"] = known
            for one in wandb_definitions({name: said for name, said in known.items() if said != before.get(name)}):
                self._write_definition(one)

    def _write_definition(self, one: WandbDefinition) -> None:
        if one.x:
            axis = self._record()
            axis.metric.name = one.x
            self._add(axis)
        record = self._record()
        if one.name.endswith("*"):
            record.metric.glob_name = one.name
        else:
            record.metric.name = one.name
        record.metric.step_metric = one.x or STEP_KEY
        record.metric.options.defined, record.metric.options.step_sync = True, not one.x
        record.metric.options.hidden = one.hidden
        record.metric.summary.none = not one.has_summary
        if one.goal:
            metric = record.metric
            metric.goal = metric.GOAL_MINIMIZE if one.goal == "min" else metric.GOAL_MAXIMIZE
        self._add(record)

    def _write_best(self, events: Sequence[Any]) -> None:
        if "defined" in self.state:
            before = self.state.get("best", {})
            best = self.state["best"] = fold_best(before, self.state["defined"], events)
            changed = {key: value for key, value in best.items() if before.get(key) != value}
            self._write_summary({key: float_json(value) for key, value in changed.items()})

    def _write_run(self, header: RunHeader) -> None:
        record = self._record()
        run = record.run
        run.run_id, run.project, run.display_name = self.state["id"], header.project, header.name or self._run_id
        run.run_group, run.notes = header.group, header.notes
        run.tags.extend(header.shown_tags())
        run.start_time.FromMicroseconds(self.state["started"])
        self._add(record)

    def _write_config(self, items: Mapping[str, str]) -> None:
        if items:
            record = self._record()
            for key, text in items.items():
                record.config.update.add(key=key, value_json=text)
            self._add(record)

    def _write_history(self, rows: Iterable[HistoryRow]) -> None:
        last: dict[str, str] = {}
        started = self.state["started"]
        for row in rows:
            record = self._record()
            number = self.state["rows"]
            self.state["rows"] = number + 1
            record.history.step.num = number
            add = record.history.item.add
            add(key="_step", value_json=str(number))
            add(key="_timestamp", value_json=to_seconds(row.time))
            add(key="_runtime", value_json=to_seconds(max(0, row.time - started)))
            add(key=STEP_KEY, value_json=str(row.step))
            if row.scope:
                add(key=SCOPE_KEY, value_json=row.scope)
            for key, text in row.cells.items():
                add(key=key, value_json=text)
            self._add(record)
            last.update(row.cells)
        self._write_summary(last)

    def _write_summary(self, items: Mapping[str, str]) -> None:
        if items:
            record = self._record()
            for key, text in items.items():
                record.summary.update.add(key=key, value_json=text)
            self._add(record)

    def _write_end(self, end: RunEnd, time: int) -> None:
        facts = {"status": end.status, "ended_at": to_instant(time), "message": end.message}
        self._write_config({f"gw.{name}": dump(value) for name, value in facts.items() if value})
        self._write_summary({f"gw/{name}": dump(facts[name]) for name in ("status", "message") if facts[name]})
        record = self._record()
        record.exit.exit_code = end.exit_code
        record.exit.runtime = min(2**31 - 1, max(0, time - self.state["started"]) // 1_000_000)
        self._add(record)

    def _record(self) -> Any:
        self.state["records"] += 1
        return pb.Record(num=self.state["records"])

    def _add(self, record: Any) -> None:
        self._records.append(record.SerializeToString(deterministic=True))

    def _flush(self) -> bytes:
        framed = frame(self._records, self._position)
        self._records.clear()
        self._position += len(framed)
        return framed


def read_records(path: Path, size: int) -> Iterator[Any]:
    """Yield the records in the first `size` bytes of a run file. Raises TrackerRefused if it is gone or damaged."""
    try:
        for record in read(path, size):
            yield pb.Record.FromString(record)
    except FileNotFoundError:
        raise TrackerRefused(f"{path} is gone: put it back, or {AGAIN}") from None
    except (OSError, DamagedRunFile) as error:
        raise TrackerRefused(f"{error}: {AGAIN}") from error


def _number_row(record: Any, number: int) -> None:
    record.history.step.num = number
    for item in record.history.item:
        if item.key == "_step":
            item.value_json = str(number)
