"""A task's own time limit (NFR-5.2): a clock that stands still while the task waits for its turn."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class TaskClock:
    """Counts a task's time against its limit. One task, one thread."""

    def __init__(self, limit_seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self.limit_seconds = limit_seconds
        self._now = now
        self._started_at = now()
        self._paused_seconds = 0.0

    def remaining_seconds(self) -> float:
        """Time left; not below zero."""
        return max(0.0, self.limit_seconds - (self.elapsed_seconds() - self._paused_seconds))

    def elapsed_seconds(self) -> float:
        """Time since the task began, waiting included."""
        return self._now() - self._started_at

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time spent inside does not count against the limit."""
        paused_at = self._now()
        try:
            yield
        finally:
            self._paused_seconds += self._now() - paused_at
