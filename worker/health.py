"""The last known state of every part, so that /health answers without asking any of them (NFR-1.3)."""

import threading

import structlog

from models.health import TRUSTED_UNTIL_THEY_FAIL, Component, HealthReport

log = structlog.get_logger()


class HealthBoard:
    """State of the parts, written by their threads and read by /health. Safe to share between threads.

    The board logs an error with the reason when a part stops working, and a line when it works again. So whoever finds
    a fault only tells the board.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts = {component: component in TRUSTED_UNTIL_THEY_FAIL for component in Component}
        self._starting = False
        self._draining = False

    def part(self, component: Component, *, up: bool, reason: str = "") -> None:
        """The part works, or does not.

        Args:
            component: which one.
            up: whether it works.
            reason: the part's own words, for the log; without secrets.
        """
        with self._lock:
            changed = self._parts[component] != up
            self._parts[component] = up
            expected_down = self._draining
        if not changed:
            return
        if up:
            log.info("part_works", part=component.value)
        elif not expected_down:
            log.error("part_down", part=component.value, reason=reason)

    def starting(self, *, value: bool) -> None:
        """The worker is not ready yet, or has become so."""
        with self._lock:
            self._starting = value

    def draining(self) -> None:
        """The worker was told to stop; that it takes no tasks is intended from now on."""
        with self._lock:
            self._draining = True

    def report(self) -> HealthReport:
        """The state now."""
        with self._lock:
            return HealthReport(parts=dict(self._parts), starting=self._starting, draining=self._draining)
