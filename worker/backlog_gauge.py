"""A gauge that shows a value only while it is known."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

FRESH_SECONDS: Final = 30.0
"""Two looks of ``worker/supervision/queue_watch.py`` and their time limits; an older value says nothing of now."""


class BacklogGauge(Collector):
    """``wearon_backlog``. While nobody knows how many tasks wait, the series is absent.

    Not its last value, which would look like a queue at rest, and not NaN, which no comparison is true of: ``absent()``
    is, and a panel shows a gap. Safe to share between threads.
    """

    def __init__(self, registry: CollectorRegistry, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._seen: tuple[float, int] | None = None
        registry.register(self)

    def set(self, tasks: int) -> None:
        """So many wait now."""
        with self._lock:
            self._seen = (self._now(), tasks)

    def forget(self) -> None:
        """Nobody knows any more."""
        with self._lock:
            self._seen = None

    def describe(self) -> list[Metric]:
        """What the registry knows it by."""
        return [self._family()]

    def collect(self) -> Iterator[Metric]:
        """The value at a scrape, if there is one."""
        family = self._family()
        with self._lock:
            seen = self._seen
        if seen is not None and self._now() - seen[0] <= FRESH_SECONDS:
            family.add_metric([], seen[1])
        yield family

    @staticmethod
    def _family() -> GaugeMetricFamily:
        return GaugeMetricFamily("wearon_backlog", "Tasks waiting in the platform's queue; absent while unknown.")
