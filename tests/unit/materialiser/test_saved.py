"""Views and rules of alerts: the order of the log counts their versions, whatever is asked."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from consumers.materialiser.registry.fold import fold_request
from consumers.materialiser.registry.state import RegistryState
from schemas import events as ev
from schemas.subjects import Subject
from schemas.wire import ProducerId, RegistryEnvelope

TIME = 1_700_000_000_000_000  # µs
SUBJECTS = [Subject("views", "a"), Subject("views", "b"), Subject("alert_rules", "a")]


class Naive:
    """What one subject should have: its versions, and whether it is deleted."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.deleted = False

    def ask(self, name: str | None, based_on: int | None) -> str:
        """Return the outcome of a save, or of a deletion if there is no name."""
        newest = 0 if self.deleted else len(self.names)
        if name is None:
            if newest:
                self.deleted = True
                return "done"
            return "deleted" if self.deleted else "absent"
        if based_on is None or based_on == newest:
            self.names.append(name)
            self.deleted = False
            return "done"
        if self.deleted:
            return "deleted"
        return "absent" if not newest else "exists" if based_on == 0 else "changed"


ASKED = st.tuples(
    st.sampled_from(SUBJECTS), st.none() | st.sampled_from("xyz"), st.none() | st.integers(0, 4)
)  # subject, name of a save or None for a deletion, based_on


@given(st.lists(ASKED, max_size=20))
def test_each_save_is_the_next_version_of_what_its_writer_saw(asked: list[tuple[Subject, str | None, Any]]) -> None:
    state, wanted = RegistryState(), {subject: Naive() for subject in SUBJECTS}
    for number, (subject, name, based_on) in enumerate(asked):
        event: ev.RegistryEvent
        if subject.collection == "views":
            event = ev.ViewDeleted(time=TIME) if name is None else ev.ViewSaved(
                time=TIME + number, name=name, body={"n": number}, based_on=based_on
            )  # fmt: skip
        else:
            event = ev.AlertRuleDeleted(time=TIME) if name is None else ev.AlertRuleSaved(
                time=TIME + number, name=name, body={"n": number}, based_on=based_on, enabled=False
            )  # fmt: skip
        envelope = RegistryEnvelope(subject, ProducerId(f"p{number}"), 0, TIME, event)
        assert fold_request(state, envelope, number)
        assert not fold_request(state, envelope, number + 1)  # the same request again

        decision = state.changes.decisions[-1]
        assert decision.outcome == wanted[subject].ask(name, based_on)
        if decision.outcome != "absent":
            assert decision.result["version"] == len(wanted[subject].names)

    for subject, one in wanted.items():
        row = state.saved.get(subject)
        versions = [row for row in state.changes.saved_versions if (row.collection, row.item_id) == subject]
        assert [version.name for version in versions] == one.names
        assert [version.version for version in versions] == list(range(1, len(one.names) + 1))
        assert (row.version, row.name, row.deleted) == (len(one.names), one.names[-1], one.deleted) if row else True
