"""Decides when the HTTP port opens (docs/adr/0025)."""

import time
from collections.abc import Callable
from typing import Final

from models.health import Component, HealthReport

OPEN_WHEN_AWAY_SECONDS: Final = 5.0
"""The port opens when something has been unreachable for this long, so that /health can say what. A Redis that starts
beside the worker takes less."""

OPEN_AT_LATEST_SECONDS: Final = 60.0
"""The port opens at the latest after this, also when the worker is not ready (a model that does not load, a Celery that
does not start): an executor and the models have had enough time then."""


class Opening:
    """Decides when the port opens: when the worker is ready, or when it will not be soon.

    Args:
        report: state of the parts.
        now: replaced in tests.
    """

    def __init__(self, report: Callable[[], HealthReport], now: Callable[[], float] = time.monotonic) -> None:
        self._report = report
        self._now = now
        self._began_at = now()
        self._away_since: float | None = None

    def something_is_away(self) -> None:
        """The start waits for something unreachable."""
        if self._away_since is None:
            self._away_since = self._now()

    def nothing_is_away(self) -> None:
        """Everything has answered."""
        self._away_since = None

    def is_due(self) -> bool:
        """Whether to open the port now; asked repeatedly until it is true."""
        now, away_since = self._now(), self._away_since
        if away_since is not None and now - away_since >= OPEN_WHEN_AWAY_SECONDS:
            return True
        return now - self._began_at >= OPEN_AT_LATEST_SECONDS or self._is_ready()

    def _is_ready(self) -> bool:
        report = self._report()
        return not report.starting and report.parts[Component.MODEL]
