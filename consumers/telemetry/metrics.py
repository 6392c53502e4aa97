"""
All metrics of the consumers. Only this file of the consumers imports prometheus_client.

One list: each line states what is counted and in which unit. Labels have few values, all known in advance (a partition,
a tracker, a reason, a route), never a run, a producer or anything that a user names. A test compares
docs/operations.md with this list.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

# Requests that last as long as their clients stay connected.
UNTIMED = frozenset({"/v1/stream", *(f"/v1/stream/{one}" for one in ("runs", "series", "alerts", "saved"))})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_RECORDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
_POINTS = (1, 10, 100, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000)
_SKEW = (-86_400, -3_600, -60, -10, -5, -2, -1, -0.5, -0.25, -0.1, 0, 0.1, 0.25, 0.5, 1, 2, 5, 10, 60, 3_600)


class MetricsRegistry:
    """The metrics of one process. `part` names it: materialiser, delivery-mlflow, live, ..."""

    def __init__(self, part: str) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)  # memory, processor time, open files, start time
        PlatformCollector(registry=self._registry)
        info = Gauge(
            "gateway_process_info", "1; its labels name the process", ["process", "version"], registry=self._registry
        )
        info.labels(part, version("tracking-gateway")).set(1)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        """Declare a value that rises and falls."""
        return Gauge(f"gateway_{name}", text, labels, registry=self._registry)

    def counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        """Declare a value that only grows; Prometheus adds _total to its name."""
        return Counter(f"gateway_{name}", text, labels, registry=self._registry)

    def histogram(self, name: str, text: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()) -> Histogram:
        """Declare a distribution."""
        return Histogram(f"gateway_{name}", text, labels, buckets=buckets, registry=self._registry)


class LagMetrics:
    """How far a consumer is behind the log."""

    def __init__(self, metrics: MetricsRegistry) -> None:
        part = ("partition",)
        self._records = metrics.gauge("lag_records", "records of the log that are not yet applied", part)
        self._seconds = metrics.gauge("lag_seconds", "age of the oldest record that is not yet applied, s", part)
        self._next = metrics.gauge("next_offset", "next offset of the log", part)
        self._applied_at = metrics.gauge(
            "last_applied_timestamp_seconds", "Kafka's timestamp of the last applied record, s since 1970", part
        )

    def show(
        self, records: Mapping[int, int], seconds: Mapping[int, float], offsets: Mapping[int, int],
        applied_at: Mapping[int, float],
    ) -> None:  # fmt: skip
        """Replace all values, by partition. Partitions that moved to another worker disappear."""
        for gauge, values in (
            (self._records, records), (self._seconds, seconds), (self._next, offsets), (self._applied_at, applied_at),
        ):  # fmt: skip
            gauge.clear()
            for partition, value in values.items():
                gauge.labels(str(partition)).set(value)


class FoldMetrics:
    """What the materialiser counts."""

    def __init__(self, metrics: MetricsRegistry) -> None:
        self._records = metrics.counter("records_applied", "records folded into PostgreSQL, duplicates included")
        self._points = metrics.counter("points_applied", "metric points folded into PostgreSQL")
        self._duplicates = metrics.counter(
            "duplicates_refused", "records refused because their number had been folded before"
        )
        self._parked = metrics.counter("records_parked", "records that could not be folded: dead letters", ("reason",))
        self._batch_records = metrics.histogram("batch_records", "records of one transaction", _RECORDS)
        self._batch_points = metrics.histogram("batch_points", "metric points of one transaction", _POINTS)
        self._commit = metrics.histogram("commit_seconds", "time to write and commit one transaction, s", _SECONDS)
        self._skew = metrics.histogram(
            "producer_skew_seconds",
            "producer's time of an event minus Kafka's time of its record, s; above 0 the producer's clock is ahead, "
            "below 0 it is slow or the event waited",
            _SKEW,
        )
        self._held = metrics.gauge("held_bytes", "bytes of records read from the log and not yet applied")
        self._paused = metrics.gauge("paused", "1 while reading pauses because PostgreSQL is away or slow")

    def committed(self, *, records: int, points: int, duplicates: int, seconds: float) -> None:
        """Count one transaction."""
        self._records.inc(records)
        self._points.inc(points)
        self._duplicates.inc(duplicates)
        self._batch_records.observe(records)
        self._batch_points.observe(points)
        self._commit.observe(seconds)

    def parked(self, reason: str) -> None:
        """Count one dead letter; `reason` is the name of the error's class."""
        self._parked.labels(reason).inc()

    def skewed(self, seconds: float) -> None:
        """Record the clock skew of one record."""
        self._skew.observe(seconds)

    def set_read_ahead(self, held_bytes: int, *, paused: bool) -> None:
        """Set how much is read ahead, and whether reading is paused."""
        self._held.set(held_bytes)
        self._paused.set(paused)


class DeliveryMetrics:
    """What one delivery counts."""

    def __init__(self, metrics: MetricsRegistry) -> None:
        self._records = metrics.counter("delivered_records", "records that the tracker has taken")
        self._failures = metrics.counter(
            "delivery_failures", "calls to the tracker that failed: unavailable, refused or raised", ("reason",)
        )
        self._parked = metrics.counter("delivery_runs_parked", "runs parked for this tracker")
        self._call = metrics.histogram("delivery_call_seconds", "time of one call to the tracker, s", _SECONDS)
        self._backlog = metrics.gauge("delivery_backlog_bytes", "bytes read from the log and not yet delivered")
        self._busy = metrics.gauge("delivery_calls", "calls to the tracker in progress")
        self._again = metrics.counter(
            "delivery_doubted_batches", "envelopes delivered again because the result of an earlier call is unknown"
        )
        self._open = metrics.gauge("delivery_circuit_open", "1 while the tracker does not answer: one call at a time")
        self._passed_over = metrics.counter(
            "delivery_passed_over", "records about experiments and models, which trackers do not get", ("collection",)
        )
        self._held_back = metrics.gauge("delivery_paused", "1 while `gateway trackers pause` holds deliveries back")

    def redelivered(self, envelopes: int) -> None:
        """Count envelopes that an earlier call may have delivered."""
        self._again.inc(envelopes)

    def passed_over(self, collection: str, records: int) -> None:
        """Count records about another subject than a run; `collection` names its kind."""
        self._passed_over.labels(collection).inc(records)

    def set_state(self, *, is_open: bool, is_paused: bool) -> None:
        """Set whether the circuit is open, and whether deliveries are paused."""
        self._open.set(is_open)
        self._held_back.set(is_paused)

    def delivered(self, records: int, seconds: float) -> None:
        """Count one call that succeeded."""
        self._records.inc(records)
        self._call.observe(seconds)

    def failed(self, reason: str) -> None:
        """Count one call that failed."""
        self._failures.labels(reason).inc()

    def parked(self) -> None:
        """Count one run that is parked."""
        self._parked.inc()

    def set_backlog(self, backlog_bytes: int, calls: int) -> None:
        """Set how much is read ahead, and how many calls are in progress."""
        self._backlog.set(backlog_bytes)
        self._busy.set(calls)


class AlertMetrics:
    """What the alerts process counts."""

    def __init__(self, metrics: MetricsRegistry) -> None:
        self._rules = metrics.gauge("alert_rules", "rules that are evaluated")
        self._fired = metrics.counter("alerts_fired", "firings stored", ("severity",))
        self._resolved = metrics.counter("alerts_resolved", "firings that were resolved")
        self._records = metrics.counter("alert_records", "records of the log that were evaluated")
        self._batch = metrics.histogram("alert_batch_seconds", "time to evaluate and commit one batch, s", _SECONDS)
        self._sent = metrics.counter("alert_messages_sent", "messages that a target took", ("target",))
        self._failures = metrics.counter("alert_message_failures", "messages that a target did not take", ("target",))
        self._given_up = metrics.counter("alert_messages_given_up", "messages that were given up", ("target",))

    def set_rules(self, rules: int) -> None:
        """Set how many rules are evaluated."""
        self._rules.set(rules)

    def evaluated(self, records: int, seconds: float) -> None:
        """Count one transaction."""
        self._records.inc(records)
        self._batch.observe(seconds)

    def fired(self, severity: str) -> None:
        """Count one firing."""
        self._fired.labels(severity).inc()

    def resolved(self) -> None:
        """Count one firing that ended."""
        self._resolved.inc()

    def sent(self, target: str) -> None:
        """Count one message that arrived."""
        self._sent.labels(target).inc()

    def failed(self, target: str, *, given_up: bool) -> None:
        """Count one attempt that failed, and the message if it is given up."""
        self._failures.labels(target).inc()
        if given_up:
            self._given_up.labels(target).inc()


class LiveMetrics:
    """What the API and its event streams count."""

    def __init__(self, metrics: MetricsRegistry) -> None:
        self._requests = metrics.counter("http_requests", "requests answered", ("method", "route", "status"))
        self._seconds = metrics.histogram(
            "http_request_seconds", "time to answer a request, except event streams, s", _SECONDS, ("route",)
        )
        self._subscribers = metrics.gauge("stream_subscribers", "open event streams")
        self._overrun = metrics.counter("streams_overrun", "event streams closed because their client was too slow")
        self._overruns = 0

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(method, route, str(status)).inc()
        if route not in UNTIMED:
            self._seconds.labels(route).observe(seconds)

    def watching(self, subscribers: int, overruns: int) -> None:
        """Set how many event streams are open, and how many were closed as too slow since the process started."""
        self._subscribers.set(subscribers)
        self._overrun.inc(overruns - self._overruns)
        self._overruns = overruns
