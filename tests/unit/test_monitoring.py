"""Prometheus and Grafana use metrics, services and data sources that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from consumers.telemetry.instruments import AlertsWatch, DeliveryWatch, FoldWatch
from consumers.telemetry.metrics import LiveMetrics, MetricsRegistry

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
OF_OTHERS = {"up", "node_filesystem_avail_bytes", "node_filesystem_size_bytes"}  # Prometheus itself, its node exporter
RULES: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus/rules.yml").read_text(encoding="utf-8"))
SCRAPING: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text(encoding="utf-8"))
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SOURCES: dict[str, Any] = yaml.safe_load(
    (DEPLOY / "grafana/provisioning/datasources/gateway.yml").read_text(encoding="utf-8")
)
SYSTEM: dict[str, Any] = json.loads((DEPLOY / "grafana/dashboards/system.json").read_text(encoding="utf-8"))


def exposed() -> set[str]:
    """Names in the /metrics of our processes, as Prometheus stores them."""
    live = MetricsRegistry("live")
    LiveMetrics(live)
    parts = [FoldWatch().metrics, DeliveryWatch("mlflow").metrics, AlertsWatch().metrics, live]
    declared = re.findall(r"^# TYPE (\w+) (\w+)", b"".join(part.render() for part in parts).decode(), re.MULTILINE)
    names = {name for name, _ in declared}
    return names | {f"{name}_bucket" for name, kind in declared if kind == "histogram"}


def named(expression: str) -> set[str]:
    """Names of metrics in an expression."""
    return set(re.findall(r"\b(?:up|(?:gateway|node|process)_\w+)\b", re.sub(r'"[^"]*"', "", expression)))


def test_rules_and_panels_name_metrics_that_our_processes_have() -> None:
    expressions = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]
    expressions += [target["expr"] for panel in SYSTEM["panels"] for target in panel["targets"] if "expr" in target]

    assert all(map(named, expressions))
    assert set().union(*map(named, expressions)) - OF_OTHERS <= exposed()


def test_every_rule_says_what_to_do() -> None:
    rules = [rule for group in RULES["groups"] for rule in group["rules"]]

    assert len({rule["alert"] for rule in rules}) == len(rules) >= 8
    assert [rule["alert"] for rule in rules if not rule["annotations"]["description"].strip()] == []


def test_what_is_scraped_and_mounted_is_in_the_compose_file() -> None:
    targets = [one for job in SCRAPING["scrape_configs"] for conf in job["static_configs"] for one in conf["targets"]]
    monitoring = [one for one in COMPOSE["services"].values() if one.get("profiles") == ["monitoring"]]
    mounted = [volume.split(":")[0] for one in monitoring for volume in one["volumes"] if volume.startswith("./")]

    assert {target.removesuffix(":9100") for target in targets} <= set(COMPOSE["services"])
    assert len(monitoring) == 3
    assert [path for path in mounted if not (ROOT / path).exists()] == []


def test_panels_use_data_sources_that_are_provisioned() -> None:
    provisioned = {source["uid"]: source["type"] for source in SOURCES["datasources"]}
    used = {(panel["datasource"]["uid"], panel["datasource"]["type"]) for panel in SYSTEM["panels"]}
    ids = [panel["id"] for panel in SYSTEM["panels"]]

    assert used == set(provisioned.items())
    assert len(set(ids)) == len(ids)
