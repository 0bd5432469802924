"""A gauge that shows a value only while it is known."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

WATCHED_FRESH_SECONDS: Final = 30.0
"""Two looks of ``worker/supervision/queue_watch.py`` and their time limits; an older value says nothing of now."""


class FreshGauge(Collector):
    """One value without labels. While nobody knows it, the series is absent.

    Not its last value, which would look like a queue at rest, and not NaN, which no comparison is true of: ``absent()``
    is, and a panel shows a gap. Safe to share between threads.

    Args:
        registry: where it is kept.
        name, documentation: as in Prometheus.
        fresh_seconds: an older value says nothing of now.
        now: a steady clock in seconds; replaced in tests.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        name: str,
        documentation: str,
        *,
        fresh_seconds: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._fresh_seconds = fresh_seconds
        self._now = now
        self._lock = threading.Lock()
        self._seen: tuple[float, float] | None = None
        registry.register(self)

    def set(self, value: float | None) -> None:
        """So much it is now; ``None``: nobody knows."""
        with self._lock:
            self._seen = None if value is None else (self._now(), value)

    def describe(self) -> list[Metric]:
        """What the registry knows it by."""
        return [self._family()]

    def collect(self) -> Iterator[Metric]:
        """The value at a scrape, if there is one."""
        family = self._family()
        with self._lock:
            seen = self._seen
        if seen is not None and self._now() - seen[0] <= self._fresh_seconds:
            family.add_metric([], seen[1])
        yield family

    def _family(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(self._name, self._documentation)
