"""
What the supervisor counts of the processes it owns. Imports prometheus_client, like gateway/server/metrics.py.

Labels are the names of services. A test compares docs/operations.md with this list.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from gateway.local.home import SUPERVISOR
from gateway.local.supervision.child import Child


class Metrics:
    """The metrics of one supervisor, which owns these services."""

    def __init__(self, services: Collection[str]) -> None:
        one = self._registry = CollectorRegistry()
        ProcessCollector(registry=one)
        PlatformCollector(registry=one)
        info = Gauge("gateway_process_info", "1; which process this is", ["process", "version"], registry=one)
        info.labels(SUPERVISOR, version("tracking-gateway")).set(1)
        part = ["service"]
        self._ready = Gauge("gateway_service_ready", "1 while the service serves", part, registry=one)
        self._deaths = Counter("gateway_service_deaths", "unexpected ends of its process", part, registry=one)
        self._restarts = Counter("gateway_service_restarts", "starts of the service after a death", part, registry=one)
        self._given_up = Gauge(
            "gateway_service_given_up",
            "1 once it is no longer restarted: five deaths within a minute, or a refusal (exit code 78)",
            part,
            registry=one,
        )
        self._seen = dict.fromkeys(services, (0, 0))  # deaths and restarts counted so far
        for name in services:
            for metric in (self._ready, self._deaths, self._restarts, self._given_up):
                metric.labels(name)

    def render(self, children: Collection[Child]) -> bytes:
        """Return all metrics in Prometheus' text format, updated to the state of these services."""
        for child in children:
            deaths, restarts = self._seen[child.name]
            self._deaths.labels(child.name).inc(child.deaths - deaths)
            self._restarts.labels(child.name).inc(child.restarts - restarts)
            self._seen[child.name] = (child.deaths, child.restarts)
            self._ready.labels(child.name).set(child.state == "ready")
            self._given_up.labels(child.name).set(child.state == "failed")
        return generate_latest(self._registry)
