"""Stops burying tasks when several in a row fail for the same reason: then the platform is at fault, not the tasks.

When the database refuses one task, that task is at fault. When it refuses three in a row, it would refuse all others
too, and the whole queue would end in the dead letters. From then on tasks stay where they are, and one is tried at a
time.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

log = structlog.get_logger()

BURIALS_IN_A_ROW: Final = 3


class BurialBrake:
    """One object per process, shared by all its threads.

    Args:
        stop_intake: called with the reason to stop the intake of tasks, and with an empty reason to resume it.
        pause_seconds: between two tasks that are tried (and buried if they fail) while the intake is stopped.
    """

    def __init__(
        self, stop_intake: Callable[[str], None], *, pause_seconds: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._stop_intake = stop_intake
        self._pause_seconds = pause_seconds
        self._now = now
        self._lock = threading.Lock()
        self._reason = ""
        self._in_a_row = 0
        self._last_at = 0.0

    def may_bury(self, reason: str) -> bool:
        """Whether a task that failed for ``reason`` may be buried now; if ``False``, leave it in flight."""
        with self._lock:
            if self._in_a_row >= BURIALS_IN_A_ROW:
                if self._now() - self._last_at < self._pause_seconds:
                    return False
                self._last_at = self._now()
                return True
            self._in_a_row = self._in_a_row + 1 if reason == self._reason else 1
            self._reason, self._last_at = reason, self._now()
            if self._in_a_row == BURIALS_IN_A_ROW:
                log.error(
                    "intake_stopped",
                    reason=reason,
                    burials=BURIALS_IN_A_ROW,
                    one_task_every_seconds=self._pause_seconds,
                )
                self._stop_intake(reason)
            return True

    def ended_well(self) -> None:
        """A task ended normally: resume the intake if it was stopped."""
        with self._lock:
            was_stopped = self._in_a_row >= BURIALS_IN_A_ROW
            self._in_a_row, self._reason = 0, ""
            if was_stopped:
                log.info("intake_resumed")
                self._stop_intake("")
