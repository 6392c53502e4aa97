"""
Fold the facts of a run besides points and lifecycle: params, tags, labels, notes, artifacts, definitions of metrics,
values, text, edits.

Pure. For anything with a name the last write in log order wins; all values and console lines are kept.
"""

from __future__ import annotations

from consumers.store.rows import Changes, Edit, RunRow
from schemas import events as ev


def fold_fact(changes: Changes, run: RunRow, event: ev.AnyEvent, offset: int) -> None:
    """Fold one such event into `changes`; `offset` is that of its record in the log."""
    match event:
        case ev.Params():
            for name, value in event.params.items():
                row = {"step_name": event.step_name, "attempt": event.attempt, "name": name, "log_offset": offset}
                key = (run.run_id, event.step_name, event.attempt, name)
                if event.once and (key in changes.params or key in changes.first_params):
                    continue
                value_json = value.model_dump(mode="json")
                row |= {"run_id": run.run_id, "value": value_json, "superseded": False}
                (changes.first_params if event.once else changes.params)[key] = row
        case ev.Tags():
            for name, text in event.tags.items():
                changes.tags[run.run_id, name] = {"run_id": run.run_id, "name": name, "value": text}
        case ev.RunLabels():
            for name, value in event.labels.items():
                row = {"run_id": run.run_id, "name": name, "value": value.model_dump(mode="json")}
                changes.run_labels[run.run_id, name] = row
        case ev.Note():
            run.note = event.text
        case ev.Environment():
            values = {name: value.model_dump(mode="json") for name, value in event.values.items()}
            run.environment = {**run.environment, **values}
        case ev.Artifact():
            artifact = (run.run_id, event.step_name, event.name, event.attempt, event.stage)
            changes.artifacts[artifact] = {"run_id": run.run_id, **event.model_dump(exclude={"kind"})}
        case ev.MetricDefined():
            definition = {"run_id": run.run_id, **event.model_dump(exclude={"kind"})}
            changes.metric_definitions[run.run_id, event.name] = definition
        case ev.CodeIdentity():
            identity = (run.run_id, event.step_name, event.attempt, event.code_identifier)
            changes.code_identities[identity] = {"run_id": run.run_id, **event.model_dump(exclude={"kind", "time"})}
        case ev.Values():
            _add_values(changes, run, event, offset)
        case ev.ConsoleText():
            _add_console_lines(changes, run, event, offset)
        case ev.Deleted() | ev.Renamed():
            _edit(changes, run, event)
        case _:
            raise AssertionError(f"no fold for {type(event).__name__}")  # an event kind was added without a fold


def _add_values(changes: Changes, run: RunRow, event: ev.Values, offset: int) -> None:
    for position, seen in enumerate(event.values):
        changes.observations.append({
            "run_id": run.run_id,
            "log_offset": offset,
            "position": position,
            "step_name": event.step_name,
            "attempt": event.attempt,
            **seen.model_dump(mode="json"),
        })  # fmt: skip


def _add_console_lines(changes: Changes, run: RunRow, event: ev.ConsoleText, offset: int) -> None:
    for position, (line, time) in enumerate(zip(event.lines, event.times, strict=True)):
        at = {"run_id": run.run_id, "log_offset": offset, "position": position}
        changes.console_lines.append({**at, "stream": event.stream, "time": time, "line": line})


def is_edit(event: ev.AnyEvent) -> bool:
    """Return True if an event changes rows by name; it needs a transaction of its own, so that order is kept."""
    return isinstance(event, ev.Deleted | ev.Renamed) and event.what != "run"


def _edit(changes: Changes, run: RunRow, event: ev.Deleted | ev.Renamed) -> None:
    if event.what != "run":
        name, new = (event.name, None) if isinstance(event, ev.Deleted) else (event.old, event.new)
        changes.edits.append(Edit(run.run_id, event.what, name, new))
    elif isinstance(event, ev.Deleted):
        run.deleted = True
    else:
        run.name = event.new
