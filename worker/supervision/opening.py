"""When does the port open? (docs/adr/0025)"""

import time
from collections.abc import Callable
from typing import Final

from models.health import Component, HealthReport

OPEN_WHEN_AWAY_SECONDS: Final = 5.0
"""A Redis that is started beside us takes less. After this somebody will ask why, and /health has the answer."""

OPEN_AT_LATEST_SECONDS: Final = 60.0
"""Whatever else keeps the worker from being ready (a model that does not load, a Celery that does not start), the port
opens when an executor and the models have had their time."""


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
        """The start waits for something that does not answer."""
        if self._away_since is None:
            self._away_since = self._now()

    def nothing_is_away(self) -> None:
        """It has answered."""
        self._away_since = None

    def is_due(self) -> bool:
        """Whether to open now; asked again and again until it is."""
        now, away_since = self._now(), self._away_since
        if away_since is not None and now - away_since >= OPEN_WHEN_AWAY_SECONDS:
            return True
        return now - self._began_at >= OPEN_AT_LATEST_SECONDS or self._is_ready()

    def _is_ready(self) -> bool:
        report = self._report()
        return not report.starting and report.parts[Component.MODEL]
