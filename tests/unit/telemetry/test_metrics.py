"""docs/operations.md lists every metric, and each process names itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from consumers.telemetry.instruments import AlertsWatch, DeliveryWatch, FoldWatch
from consumers.telemetry.metrics import LiveMetrics, MetricsRegistry
from gateway.local.supervision.metrics import Metrics as SupervisorMetrics
from gateway.server.metrics import Metrics as IngestMetrics

DOCS = (Path(__file__).parents[3] / "docs/operations.md").read_text(encoding="utf-8")


def names(text: bytes) -> set[str]:
    """Return the names of our metrics, as declared."""
    return set(re.findall(r"^# TYPE (gateway_\w+?)(?:_created)? ", text.decode(), re.MULTILINE))


def all_metrics() -> set[str]:
    live = MetricsRegistry("live")
    LiveMetrics(live)
    ours = [FoldWatch().metrics, DeliveryWatch("mlflow").metrics, AlertsWatch().metrics, live]
    texts = [*(part.render() for part in ours), IngestMetrics().render(), SupervisorMetrics(["kafka"]).render([])]
    found = {name for text in texts for name in names(text)}
    return {name for name in found if f"{name}_total" not in found}


def test_the_documentation_lists_every_metric_and_no_other() -> None:
    assert set(re.findall(r"^\| `(gateway_\w+)`", DOCS, re.MULTILINE)) == all_metrics()


@pytest.mark.parametrize(
    "text", [FoldWatch().metrics.render(), IngestMetrics().render(), SupervisorMetrics([]).render([])]
)
def test_each_process_says_which_it_is_and_what_it_uses(text: bytes) -> None:
    assert b"gateway_process_info{process=" in text
    assert b"process_resident_memory_bytes" in text
    assert b"process_start_time_seconds" in text
