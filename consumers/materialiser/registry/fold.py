"""
Fold requests about the registry into decisions, each request once.

Pure. All requests of a collection are in one partition, in the order in which they were made; a request that is in the
log twice, because its producer had no answer, is decided once. Points of logged models are no requests: what tells them
apart is part of them, so they need no decision.
"""

from __future__ import annotations

from consumers.materialiser.registry.experiments import decide_experiment
from consumers.materialiser.registry.logged_models import decide_logged_model, keep_points
from consumers.materialiser.registry.models import decide_model
from consumers.materialiser.registry.saved import decide_saved
from consumers.materialiser.registry.state import RegistryState
from consumers.materialiser.registry.verdict import Verdict
from consumers.store.registry.rows import DecisionRow
from schemas import events as ev
from schemas.subjects import SAVED
from schemas.wire import RegistryEnvelope


def fold_request(state: RegistryState, envelope: RegistryEnvelope, log_offset: int) -> bool:
    """Decide one request. Returns False for one that was decided before."""
    subject, producer, seq, _, event = envelope
    if isinstance(event, ev.LoggedModelMetrics):
        return keep_points(state, subject.id, event, log_offset)
    if (subject.collection, producer, seq) in state.decided:
        return False
    verdict = _decide(state, envelope, log_offset)
    state.decide(
        DecisionRow(
            collection=subject.collection,
            producer=producer,
            seq=seq,
            subject_id=subject.id,
            kind=event.kind,
            outcome=verdict.outcome,
            reason=verdict.reason,
            result=dict(verdict.result),
            time=event.time,
            log_offset=log_offset,
        )
    )
    return True


def _decide(state: RegistryState, envelope: RegistryEnvelope, log_offset: int) -> Verdict:
    event = envelope.event
    if envelope.subject.collection == "experiments":
        return decide_experiment(state, envelope.subject.id, event)  # type: ignore[arg-type]  # decode gives its kinds
    if envelope.subject.collection == "logged_models":
        return decide_logged_model(state, envelope.subject.id, event)  # type: ignore[arg-type]  # likewise
    if envelope.subject.collection in SAVED:
        return decide_saved(state, envelope.subject, event, log_offset)  # type: ignore[arg-type]  # likewise
    return decide_model(state, envelope.subject.id, event, log_offset)  # type: ignore[arg-type]  # likewise
