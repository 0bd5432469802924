"""How many tasks may be given up in a row for one and the same reason before the reason is taken for the platform's.

One task the database says no to is that task's fault. Three in a row, and the next two hundred would follow: the queue
would be emptied into the dead letters. From then on tasks are left where they are, and one is tried at a time.
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
        stop_intake: told to stop the intake of tasks (with the reason) and, with an empty reason, to go on.
        pause_seconds: between two tasks that are tried, and given up, while it is stopped.
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
        """Whether a task is to be given up for ``reason`` now; ``False``: leave it in flight."""
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
        """A task came to an ordinary end."""
        with self._lock:
            was_stopped = self._in_a_row >= BURIALS_IN_A_ROW
            self._in_a_row, self._reason = 0, ""
            if was_stopped:
                log.info("intake_resumed")
                self._stop_intake("")
