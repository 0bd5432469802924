"""Whether the consumer may take tasks now: set by reports of the Celery process, checked before each task."""

import threading
import time
from collections.abc import Callable
from enum import Enum


class Intake(Enum):
    """What the consumer may do."""

    OPEN = "open"
    CLOSED = "closed"
    """Take nothing: neither from the queue nor a returned task."""
    ONE_TASK = "one task"
    """Take one, to find out whether tasks still fail."""


class IntakeStop:
    """One object per executor. Safe to share between threads.

    Args:
        pause_seconds: between two tasks that are tried.
    """

    def __init__(self, *, pause_seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._pause_seconds = pause_seconds
        self._now = now
        self._lock = threading.Lock()
        self._storage_refuses = False
        self._tasks_fail = False
        self._next_try_at = 0.0

    def storage(self, *, takes_pictures: bool) -> None:
        """Whether Storage takes pictures. While it does not, no task is tried: the Celery process probes Storage."""
        with self._lock:
            self._storage_refuses = not takes_pictures

    def tasks(self, *, fail_in_a_row: bool) -> None:
        """Whether tasks fail one after the other for the same reason."""
        with self._lock:
            if fail_in_a_row and not self._tasks_fail:
                self._next_try_at = self._now() + self._pause_seconds
            self._tasks_fail = fail_in_a_row

    def ask(self) -> Intake:
        """What may be done now."""
        with self._lock:
            if self._storage_refuses:
                return Intake.CLOSED
            if not self._tasks_fail:
                return Intake.OPEN
            return Intake.ONE_TASK if self._now() >= self._next_try_at else Intake.CLOSED

    def tried(self) -> None:
        """One task was given to Celery."""
        with self._lock:
            self._next_try_at = self._now() + self._pause_seconds
