"""Whether the database answers the worker, combined from all its callers, for the health board."""

import threading
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from models.health import Component
from worker.health import HealthBoard

HICCUP_SECONDS: Final = 10.0
"""Shorter interruptions are not reported; a restart of the API behind its gateway takes less."""


class Asker(StrEnum):
    """The callers of the database."""

    HEARTBEAT = "heartbeat"
    RUNS = "runs"
    """Claiming and settling in the Celery process, which reports only failures that last (``away_watch.py``)."""
    BURIALS = "burials"
    """Tasks in a row that the database refused (``burial_brake.py``)."""


LASTING_AT_ONCE: Final = frozenset({Asker.RUNS, Asker.BURIALS})


class DatabaseWatch:
    """One object per executor. Safe to share between threads."""

    def __init__(self, board: HealthBoard, now: Callable[[], float] = time.monotonic) -> None:
        self._board = board
        self._now = now
        self._lock = threading.Lock()
        self._failing_since: dict[Asker, float] = {}
        self._reasons: dict[Asker, str] = {}

    def answers(self, asker: Asker) -> None:
        """The database answered this caller."""
        with self._lock:
            self._failing_since.pop(asker, None)
            self._reasons.pop(asker, None)
            self._publish()

    def fails(self, asker: Asker, reason: str) -> None:
        """The database failed this caller; ``reason`` is for the log."""
        with self._lock:
            since = self._failing_since.setdefault(asker, self._now())
            if asker in LASTING_AT_ONCE or self._now() - since >= HICCUP_SECONDS:
                self._reasons[asker] = reason
            self._publish()

    def _publish(self) -> None:
        reason = next(iter(self._reasons.values()), "")
        self._board.part(Component.DATABASE, up=not self._reasons, reason=reason)
