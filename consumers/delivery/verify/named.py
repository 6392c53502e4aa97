"""
Compare parts of a run that have a name: parameters, tags, labels and references to artifacts. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from consumers.delivery.verify.edited import EditedNames, upgrade_hint
from consumers.delivery.verify.equality import is_cut, is_same, shown
from consumers.delivery.verify.findings import Finding, Subject
from consumers.store.read.contents import StoredEdit
from schemas.values import StringValue, Typed

NOT_RETURNED = "not compared: this tracker does not return them"
_REASON = 1_000  # characters


class NamedValues(NamedTuple):
    """Parameters, tags or labels of one run."""

    subject: Subject
    what: str  # "params", "tags" or "labels"
    can_edit: bool
    cuts: Sequence[int]  # lengths, in characters
    edits: Sequence[StoredEdit]

    def compare(self, given: Mapping[str, Typed | str], found: Mapping[str, str] | None) -> Iterator[Finding]:
        """Yield how the values differ, and what of them the tracker cannot hold."""
        expected = {name: typed(value) for name, value in given.items()}
        if found is None:
            if expected:
                yield self.subject.loss(self.what, len(expected), NOT_RETURNED)
            return
        edited = EditedNames(() if self.can_edit else self.edits, self.what.removesuffix("s"))
        wrong, missing, extra = list[str](), list[str](), list[str]()
        for name in sorted(expected.keys() | found.keys()):
            if name not in expected:
                if edited.was_shown(name):
                    yield self.subject.loss(self.what, 1, "deleted or renamed since, and still shown", name=name)
                else:
                    extra.append(name)
            elif name in found and is_cut(expected[name], found[name], self.cuts):
                yield self.subject.loss(self.what, 1, f"cut at {len(found[name]):,} characters", name=name)
            elif name in found and is_same(expected[name], found[name]):
                continue
            elif (name not in found or edited.was_shown(name)) and (
                earlier := _shown_as(name, edited, expected, found)
            ) is not None:
                reason = f"renamed since, and still shown as {earlier!r}"
                yield self.subject.loss(self.what, 1, reason, name=name)
            else:
                (wrong if name in found else missing).append(name)
        if wrong or missing or extra:
            reasons = [f"{name!r} is missing" for name in missing] + [f"{name!r} is unexpected" for name in extra]
            reasons += [f"{name!r} is {shown(found[name])!r}, not {shown(expected[name])!r}" for name in wrong]
            reasons += [hint for hint in [upgrade_hint(self.edits)] if hint and extra and not self.can_edit]
            reason = ", ".join(reasons)[:_REASON]
            yield self.subject.difference(self.what, len(expected), len(found), reason)


def _shown_as(name: str, edited: EditedNames, expected: Mapping[str, Typed], found: Mapping[str, str]) -> str | None:
    """Return the earlier name under which a tracker still has this value, or had it until the name got another one."""
    for earlier in edited.earlier(name):
        if earlier in found and (earlier in expected or is_same(expected[name], found[earlier])):
            return earlier
    return None


def compare_artifacts(
    subject: Subject,
    expected: Mapping[str, Sequence[Mapping[str, Any]]],
    found: Mapping[str, str] | None,
    cuts: Sequence[int],
) -> Iterator[Finding]:
    """Compare references to artifacts: each must be one that the run has under that name; `cuts` as of tags."""
    if found is None:
        if expected:
            yield subject.loss("artifacts", len(expected), NOT_RETURNED)
        return
    reasons = [f"{name!r} is missing" for name in sorted(expected.keys() - found.keys())]
    reasons += [f"{name!r} is unexpected" for name in sorted(found.keys() - expected.keys())]
    for name in sorted(expected.keys() & found.keys()):
        held = _reference(found[name])
        if held is None and len(found[name]) in cuts:
            yield subject.loss("artifacts", 1, "the reference is cut", name=name)
        elif held is None or not any(_is_reference(row, held) for row in expected[name]):
            reasons.append(f"the reference of {name!r} is another one")
    if reasons:
        yield subject.difference("artifacts", len(expected), len(found), ", ".join(reasons)[:_REASON])


def typed(value: Typed | str) -> Typed:
    """Return a text as a typed value."""
    return StringValue(value=value) if isinstance(value, str) else value


def _reference(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _is_reference(row: Mapping[str, Any], held: Mapping[str, Any]) -> bool:
    needed = {"uri", "size", "sha256"} <= held.keys()
    return needed and all(value == row[name] for name, value in held.items() if name in row)
