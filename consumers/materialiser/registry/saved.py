"""
Decide what becomes of a request about a view or a rule of alerts: one piece of code for both.

Pure. A save makes the next version in the order of the log. One that is based on an older version than the newest
changes nothing, so that of two people who changed the same version, the second one learns of the first.
"""

from __future__ import annotations

from typing import Any

from consumers.materialiser.registry.state import RegistryState
from consumers.materialiser.registry.verdict import Verdict
from consumers.store.registry.rows import SavedItemRow, SavedVersionRow
from schemas import events as ev
from schemas.subjects import Subject

_NOUNS = {"views": "view", "alert_rules": "alert rule"}


def decide_saved(
    state: RegistryState, subject: Subject, event: ev.ViewEvent | ev.AlertRuleEvent, log_offset: int
) -> Verdict:
    """Apply a request to the state, or refuse it; `log_offset` is that of its record."""
    row = state.saved.get(subject)
    if isinstance(event, ev.ViewSaved | ev.AlertRuleSaved):
        if row is not None and (refused := _outdated(row, event.based_on)):
            return refused
        if row is None and event.based_on:
            return Verdict("absent", f"there is no {_NOUNS[subject.collection]} with the id {subject.id!r}")
        return _save(state, subject, event, log_offset)
    if row is None:
        return Verdict("absent", f"there is no {_NOUNS[subject.collection]} with the id {subject.id!r}")
    if row.deleted:
        return Verdict("deleted", f"{_NOUNS[subject.collection]} {row.name!r} is deleted already", _as_result(row))
    row.deleted, row.updated = True, max(row.updated, event.time)
    state.save_item(row)
    return Verdict("done", "", _as_result(row))


def _outdated(row: SavedItemRow, based_on: int | None) -> Verdict | None:
    noun = _NOUNS[row.collection]
    if based_on is None or based_on == (0 if row.deleted else row.version):
        return None
    if row.deleted:
        return Verdict("deleted", f"{noun} {row.name!r} is deleted", _as_result(row))
    if based_on == 0:
        return Verdict("exists", f"the id {row.item_id!r} is that of {noun} {row.name!r}", _as_result(row))
    what = f"the newest version of {noun} {row.name!r} is {row.version}, and not {based_on}"
    return Verdict("changed", what, _as_result(row))


def _save(state: RegistryState, subject: Subject, event: ev.ViewSaved | ev.AlertRuleSaved, log_offset: int) -> Verdict:
    row = state.saved.get(subject) or SavedItemRow(*subject, 0, "", "", event.time, event.time)
    row.version, row.name, row.deleted = row.version + 1, event.name, False
    row.type = event.type if isinstance(event, ev.ViewSaved) else ""
    row.updated = max(row.updated, event.time)
    state.save_item(row)
    enabled = event.enabled if isinstance(event, ev.AlertRuleSaved) else True
    state.changes.saved_versions.append(
        SavedVersionRow(
            *subject, row.version, row.name, row.type, event.body, event.description, enabled, event.author,
            event.time, log_offset,
        )
    )  # fmt: skip
    return Verdict("done", "", _as_result(row))


def _as_result(row: SavedItemRow) -> dict[str, Any]:
    return {"id": row.item_id, "name": row.name, "version": row.version, "deleted": row.deleted}
