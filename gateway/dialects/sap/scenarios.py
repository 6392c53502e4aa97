"""
Scenarios: what runs of notebooks and pipelines belong to. GATEWAY_SAP_SCENARIO names that of this process.
"""

from __future__ import annotations

from gateway import query
from gateway.dialects.sap.active import until_readable
from gateway.dialects.sap.errors import one_error
from gateway.dialects.sap.objects import Scenario
from gateway.dialects.sap.source import find_source, tag_of


def get_current_scenario() -> Scenario:
    """Return the scenario of this process: GATEWAY_SAP_SCENARIO, else the one with the id "default"."""
    return Scenario(find_source().parts["scenario"])


def list_scenarios() -> list[Scenario]:
    """Return the current scenario and all others that have runs, by id. Raises TrackingError."""
    until_readable()
    tag = tag_of("scenario")
    with one_error():
        found = {run.tags[tag] for run in query.search_runs(f"tags.`{tag}` is not null")}
    return [Scenario(one) for one in sorted({get_current_scenario().id, *found})]
