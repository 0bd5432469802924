"""What Prometheus reads at ``/metrics``: every series of a closed set from the first scrape on, at 0."""

from collections.abc import Callable, Iterator
from typing import Final

import prometheus_client
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from monitoring.whatsapp_bridge.answers import Result
from monitoring.whatsapp_bridge.message_queue import Depth

OUTCOMES: Final = ("accepted", "refused", "expired", "duplicate")
"""How a message to one recipient left: Meta took it, it was given up, it was too old, or it had been said before."""

WEBHOOKS: Final = ("taken", "unauthenticated", "replayed", "too_large", "malformed", "queue_full")
"""What became of a request of Grafana's."""


class Metrics:
    """The bridge's counters, and its queue's gauges, which are read when Prometheus asks.

    Args:
        depth: how much waits; may raise.
        can_send: whether everything for Meta is set.
        now_seconds: the time since 1970.
    """

    def __init__(self, *, depth: Callable[[], Depth], can_send: bool, now_seconds: Callable[[], float]) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.messages = Counter(
            "wearon_whatsapp_messages_total",
            "Messages to one recipient, by how they left.",
            ["outcome"],
            registry=self.registry,
        )
        self.requests = Counter(
            "wearon_whatsapp_requests_total", "Calls to Meta, by what they came to.", ["result"], registry=self.registry
        )
        self.webhooks = Counter(
            "wearon_whatsapp_webhooks_total",
            "Requests of Grafana's, by what became of them.",
            ["result"],
            registry=self.registry,
        )
        for outcome in OUTCOMES:
            self.messages.labels(outcome)
        for result in Result:
            self.requests.labels(result.value)
        for result_of_webhook in WEBHOOKS:
            self.webhooks.labels(result_of_webhook)
        self.registry.register(_Gauges(depth, can_send=can_send, now_seconds=now_seconds))

    def text(self) -> bytes:
        """The whole page."""
        return prometheus_client.generate_latest(self.registry)


class _Gauges(Collector):
    def __init__(self, depth: Callable[[], Depth], *, can_send: bool, now_seconds: Callable[[], float]) -> None:
        self._depth = depth
        self._can_send = can_send
        self._now = now_seconds

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing, so that registering does not read the queue."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges; those of a queue that cannot be read are absent."""
        yield _gauge(
            "wearon_whatsapp_configured", "1 when every setting for Meta is there, else 0.", float(self._can_send)
        )
        try:
            depth = self._depth()
        except Exception:  # the page must come; /health and the log say what is wrong with the queue
            return
        now, oldest = self._now(), depth.oldest_taken_at_seconds
        yield _gauge("wearon_whatsapp_queue_messages", "Messages that wait.", depth.messages)
        age = max(now - oldest, 0.0) if oldest is not None else 0.0
        yield _gauge("wearon_whatsapp_oldest_message_seconds", "Age of the oldest that waits; 0 when none does.", age)
        if depth.last_accepted_at_seconds is not None:
            yield _gauge(
                "wearon_whatsapp_last_accepted_timestamp_seconds",
                "When Meta last accepted a message; absent before the first.",
                depth.last_accepted_at_seconds,
            )


def _gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, words, value)
