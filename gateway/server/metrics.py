"""
What the ingest server counts. Imports prometheus_client, like gateway/local/supervision/metrics.py.

Labels have few values, all known in advance. A test compares docs/operations.md with this list.
"""

from __future__ import annotations

from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The metrics of one server, of ingest or of a door."""

    def __init__(self, process: str = "ingest") -> None:
        one = self._registry = CollectorRegistry()
        ProcessCollector(registry=one)
        PlatformCollector(registry=one)
        info = Gauge("gateway_process_info", "1; which process this is", ["process", "version"], registry=one)
        info.labels(process, version("tracking-gateway")).set(1)
        self._requests = Counter(
            "gateway_http_requests", "requests answered", ["method", "route", "status"], registry=one
        )
        self._seconds = Histogram(
            "gateway_http_request_seconds", "time to answer a request, s", ["route"], buckets=_SECONDS, registry=one
        )
        self._records = Counter("gateway_ingest_records", "records that Kafka has acknowledged", registry=one)
        self._bytes = Counter("gateway_ingest_bytes", "bytes of their requests, as received", registry=one)
        self._held = Gauge("gateway_ingest_held_bytes", "bytes held by requests under way", registry=one)
        self._connected = Gauge("gateway_ingest_kafka_connected", "1 while Kafka is reached", registry=one)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def count_records(self, records: int, size: int) -> None:
        """Count the records of one request that Kafka has acknowledged; `size` is that of its body, bytes."""
        self._records.inc(records)
        self._bytes.inc(size)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def set_state(self, size: int, *, is_connected: bool) -> None:
        """Set how many bytes requests hold, and whether Kafka is reached."""
        self._held.set(size)
        self._connected.set(is_connected)
