"""A task's own deadline (NFR-5.2), which is paused while the task waits for its turn."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class TaskClock:
    """Measures a task's time against its limit. For one task, in one thread."""

    def __init__(self, limit_seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self.limit_seconds = limit_seconds
        self._now = now
        self._started_at = now()
        self._paused_seconds = 0.0

    def remaining_seconds(self) -> float:
        """Time until the deadline; not below zero."""
        return max(0.0, self.limit_seconds - (self.elapsed_seconds() - self._paused_seconds))

    def elapsed_seconds(self) -> float:
        """Time since the task began, pauses included."""
        return self._now() - self._started_at

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Pause the deadline for the ``with`` block."""
        paused_at = self._now()
        try:
            yield
        finally:
            self._paused_seconds += self._now() - paused_at
