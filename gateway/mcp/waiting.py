"""
Wait until a condition on a run holds: on the event stream, without asking again and again.

The stream begins at the offsets of the answer that said the condition does not hold yet, or at `since_offset`, so that
nothing in between is missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.client.query import ApiUnavailable, signs
from gateway.mcp.conditions import Condition
from gateway.read.asking import document
from schemas.columns import float_from_json
from schemas.statuses import ENDED

if TYPE_CHECKING:
    from gateway.client.query import Api

MAX_WAIT_S = 300.0
RECONNECT_S = 0.5


class Waited(NamedTuple):
    """Whether the condition holds, what fulfils it, and the offset to continue from."""

    met: bool
    found: Mapping[str, Any]
    offset: str
    why: str  # for people: "it holds already", "the run has ended", ...


def wait_for(run: str, condition: Condition, since_offset: str | None, timeout_s: float, api: Api) -> Waited:
    """
    Return once a condition on a run holds, or the run has ended, or after `timeout_s`, up to MAX_WAIT_S.

    Without `since_offset` it may hold already. With it only what the log has from there on counts. Raises RunNotFound,
    ApiUnavailable and ApiRefused.
    """
    deadline = monotonic() + min(timeout_s, MAX_WAIT_S)
    position = since_offset or ""
    if not position:
        shown, position = _shown(run, condition, api)
        state = str(document(api, run, "log", max_points=1, max_series=1)["state"])
        if state in ENDED:
            shown, position = _shown(run, condition, api)  # points may have come since, and then the end
        if already := _already(condition, state, shown):
            return Waited(True, already, position, "it holds already")
        if state in ENDED:
            return Waited(False, {"state": state}, position, "the run has ended: nothing more will come")
    while (rest := deadline - monotonic()) > 0:
        try:
            for at, event in signs(api, quiet_s=min(45.0, max(rest, 0.1) + 0.1), run=run, since=position):
                position = at or position
                if event is not None:
                    if found := condition.holds_event(event):
                        return Waited(True, {**found, "at": event["offset"]}, position, "it holds")
                    if event["kind"] in ("run_finished", "run_failed", "run_killed"):
                        return Waited(False, {"kind": event["kind"]}, position, "the run has ended without it")
                if monotonic() >= deadline:
                    break
        except ApiUnavailable:
            if monotonic() + RECONNECT_S < deadline:
                sleep(RECONNECT_S)  # it restarts, or has dropped a slow reader: the position says where to go on
    why = f"not within {min(timeout_s, MAX_WAIT_S):g} s: call again with since_offset to continue"
    return Waited(False, {}, position, why)


def _shown(run: str, condition: Condition, api: Api) -> tuple[Sequence[Mapping[str, Any]], str]:
    """Return the series that a condition is about, and the offset, of one instant."""
    found = document(api, run, "series", name=condition.series or None, buckets=1, limit=1)
    return found["series"], f"{found['as_of']['partition']}:{found['as_of']['offset']}"


def _already(condition: Condition, state: str, series: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return what of the present state fulfils a condition: the state, or the last point of the series."""
    if condition.holds_state(state):
        return {"state": state}
    if not condition.series or not series:
        return None
    one = series[0]
    if not condition.op:
        return {"series": one["series"], "non_finite": one["non_finite"]} if one["non_finite"] else None
    if condition.holds_point(one["last_step"], float_from_json(one["last"])):
        return {name: one[name] for name in ("series", "last_step", "last")}
    return None
