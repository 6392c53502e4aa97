"""
Scenarios: what runs of notebooks and pipelines belong to. GATEWAY_SAP_SCENARIO names that of this process.
"""

from __future__ import annotations

from gateway import query
from gateway.dialects.sap.active import until_readable
from gateway.dialects.sap.errors import one_error
from gateway.dialects.sap.objects import Scenario
from gateway.dialects.sap.selection import others
from gateway.dialects.sap.source import find_source, tag_of

RUNS_AT_ONCE = 100


def get_current_scenario() -> Scenario:
    """Return the scenario of this process: GATEWAY_SAP_SCENARIO, else the one with the id "default"."""
    return Scenario(find_source().parts["scenario"])


def list_scenarios() -> list[Scenario]:
    """Return the current scenario and all others that have runs, by id. Raises TrackingError."""
    until_readable()
    found, is_whole, is_over = [get_current_scenario().id], True, False
    with one_error():
        while is_whole and not is_over:  # runs of scenarios that are not known yet; all the rest at the end
            where, is_whole = others("scenario", found)
            page = query.search_runs(where, limit=RUNS_AT_ONCE if is_whole else None)
            found += {run.tags[tag_of("scenario")] for run in page} - {*found}
            is_over = not page
    return [Scenario(one) for one in sorted(found)]
