"""Series about the worker itself: which parts work, what it is about, what it was built from, what an audit found."""

import math
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from models.health import Component, HealthReport
from worker.series.build_info import BuildInfo
from worker.series.fresh_gauge import FreshGauge

AUDIT_FRESH_SECONDS: Final = 9_000.0
"""Two audits of ``worker/supervision/ledger_watch.py`` and half an hour: one that failed is no gap in a graph."""


class WorkerSeries:
    """Entered with ``show_…``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._component_up = Gauge("wearon_component_up", "1 when the part works.", ["component"], registry=registry)
        self._starting = Gauge("wearon_starting", "1 while the worker is not ready yet.", registry=registry)
        self._draining = Gauge("wearon_draining", "1 once the worker was told to stop.", registry=registry)
        self._build = Gauge(
            "wearon_build_info",
            "1; the version and the commit it was built from.",
            ["version", "commit"],
            registry=registry,
        )
        self._ledger_faults = FreshGauge(
            registry,
            "wearon_ledger_faults",
            "Findings of the last audit of the ledger; absent while unknown.",
            fresh_seconds=AUDIT_FRESH_SECONDS,
        )
        self._ledger_audited_at = FreshGauge(
            registry,
            "wearon_ledger_audit_last_success_timestamp_seconds",
            "When the ledger was last audited; absent before the first time.",
            fresh_seconds=math.inf,
        )

    def show_parts(self, report: Callable[[], HealthReport]) -> None:
        """Have every scrape ask what works, so that no gauge outlives what it was set from."""
        for component in Component:
            self._component_up.labels(component.value).set_function(partial(_is_up, report, component))
        self._starting.set_function(lambda: float(report().starting))
        self._draining.set_function(lambda: float(report().draining))

    def show_build(self, build: BuildInfo) -> None:
        """Enter what this process was built from."""
        self._build.labels(build.version, build.commit).set(1)

    def show_ledger(self, faults: int, audited_at: datetime) -> None:
        """Enter what an audit of the ledger found, and when."""
        self._ledger_faults.set(faults)
        self._ledger_audited_at.set(audited_at.timestamp())


def _is_up(report: Callable[[], HealthReport], component: Component) -> float:
    return float(report().parts[component])
