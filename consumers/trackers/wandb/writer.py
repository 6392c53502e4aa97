"""
The bytes of an offline run file: W&B's records, numbered, framed, and closed when the run is over.

One writer serves one delivery: it begins where the kept state says that the file ends, and its own state says where
it ends then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from wandb.proto import wandb_internal_pb2 as pb

from consumers.trackers.wandb import translate
from consumers.trackers.wandb.edits import SCOPE, STEP, cells_of
from consumers.trackers.wandb.file import frame
from consumers.trackers.wandb.live.translate import instant

RECORDS_AT_ONCE = 1_000  # of a file that is written anew


class Writer:
    """The bytes that one delivery appends, and the state after it."""

    def __init__(self, run_id: str, state: dict[str, Any], project: str) -> None:
        self.state = state
        self.tail = b""
        self._run_id = run_id
        self._project = project
        self._records: list[bytes] = []
        self._position = state["length"]
        self.body = b""

    def write_events(self, events: Sequence[Any]) -> None:
        """Write what the events add to the file's body, then its tail if the run is over."""
        before = translate.Head(**self.state["head"])
        head = translate.fold_head(before, events)
        if not self._position:
            head = head._replace(project=head.project or self._project)
            self._write_first(head)
        elif head != before:
            self._write_run(head)
        self._write_config(translate.config(events))
        self._write_history(translate.history(events))
        self.body = self._flush()
        end = translate.fold_end(translate.End(*self.state["end"]) if self.state["end"] else None, events)
        self.state |= {"head": head._asdict(), "end": end and list(end)}
        self._close()

    def rewrite(self, records: Iterable[Any]) -> Iterator[bytes]:
        """Yield the file anew, from the edited records of its body."""
        last: dict[str, str] = {}
        for record in records:
            self.state["records"] += 1
            record.num = self.state["records"]
            if record.WhichOneof("record_type") == "history":
                last.update(cells_of(record))
                _number_row(record, self.state["rows"])
                self.state["rows"] += 1
            self._keep(record)
            if len(self._records) >= RECORDS_AT_ONCE:
                yield self._flush()
        self._write_run(translate.Head(**self.state["head"]))
        self._write_summary(last)
        yield self._flush()
        self._close()
        yield self.tail

    def _close(self) -> None:
        """Write the tail if the run is over, and put down how long the file is."""
        self.state["length"] = self._position
        end = translate.End(*self.state["end"]) if self.state["end"] else None
        if end is not None and end.time is not None:
            counted = self.state["records"]
            self._write_end(end, end.time)
            self.tail = self._flush()
            self.state["records"] = counted  # the tail is cut off again when more comes
        self.state["size"] = self.state["length"] + len(self.tail)

    def _write_first(self, head: translate.Head) -> None:
        header = self._record()
        header.header.version_info.producer = version("wandb")
        self._keep(header)
        self._write_run(head)
        self._write_config({
            "gw.run_id": translate.dump(self._run_id), "gw.started_at": translate.dump(instant(self.state["started"]))
        })  # fmt: skip
        axis = self._record()
        axis.metric.name = STEP
        self._keep(axis)
        every = self._record()
        every.metric.glob_name, every.metric.step_metric = "*", STEP
        every.metric.options.step_sync = True
        self._keep(every)

    def _write_run(self, head: translate.Head) -> None:
        record = self._record()
        run = record.run
        run.run_id, run.project, run.display_name = self.state["id"], head.project, head.name or self._run_id
        run.run_group, run.notes = head.group, head.notes
        run.tags.extend(head.shown_tags())
        run.start_time.FromMicroseconds(self.state["started"])
        self._keep(record)

    def _write_config(self, items: Mapping[str, str]) -> None:
        if items:
            record = self._record()
            for key, text in items.items():
                record.config.update.add(key=key, value_json=text)
            self._keep(record)

    def _write_history(self, found: Iterable[translate.Row]) -> None:
        last: dict[str, str] = {}
        started = self.state["started"]
        for row in found:
            record = self._record()
            number = self.state["rows"]
            self.state["rows"] = number + 1
            record.history.step.num = number
            add = record.history.item.add
            add(key="_step", value_json=str(number))
            add(key="_timestamp", value_json=_seconds(row.time))
            add(key="_runtime", value_json=_seconds(max(0, row.time - started)))
            add(key=STEP, value_json=str(row.step))
            if row.scope:
                add(key=SCOPE, value_json=row.scope)
            for key, text in row.cells.items():
                add(key=key, value_json=text)
            self._keep(record)
            last.update(row.cells)
        self._write_summary(last)

    def _write_summary(self, items: Mapping[str, str]) -> None:
        if items:
            record = self._record()
            for key, text in items.items():
                record.summary.update.add(key=key, value_json=text)
            self._keep(record)

    def _write_end(self, end: translate.End, time: int) -> None:
        facts = {"status": end.status, "ended_at": instant(time), "message": end.message}
        self._write_config({f"gw.{name}": translate.dump(value) for name, value in facts.items() if value})
        self._write_summary(
            {f"gw/{name}": translate.dump(facts[name]) for name in ("status", "message") if facts[name]}
        )
        record = self._record()
        record.exit.exit_code = end.code
        record.exit.runtime = min(2**31 - 1, max(0, time - self.state["started"]) // 1_000_000)
        self._keep(record)

    def _record(self) -> Any:
        self.state["records"] += 1
        return pb.Record(num=self.state["records"])

    def _keep(self, record: Any) -> None:
        self._records.append(record.SerializeToString(deterministic=True))

    def _flush(self) -> bytes:
        framed = frame(self._records, self._position)
        self._records.clear()
        self._position += len(framed)
        return framed


def _number_row(record: Any, number: int) -> None:
    record.history.step.num = number
    for item in record.history.item:
        if item.key == "_step":
            item.value_json = str(number)


def _seconds(microseconds: int) -> str:
    return f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06d}"
