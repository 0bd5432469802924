"""Reports when calls to the database have failed for longer than a short interruption."""

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from models.failures import PlatformFailure, PlatformUnavailable

MOMENT_SECONDS: Final = 15.0
"""A shorter interruption is not reported."""

Answer = TypeVar("Answer")


class AwayWatch:
    """One object per process, shared by all its threads.

    Args:
        tell: called with the reason when calls have failed for ``MOMENT_SECONDS``, and with an empty reason when no
            operation fails any more.
    """

    def __init__(self, tell: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._now = now
        self._lock = threading.Lock()
        self._failing_since: dict[str, float] = {}
        self._told: set[str] = set()

    def watched(self, operation: str, call: Callable[[], Answer]) -> Answer:
        """Make one call and record under ``operation`` whether the database answered.

        Raises:
            PlatformFailure: the call's own.
        """
        try:
            answer = call()
        except PlatformUnavailable as failure:
            self._failed(operation, failure)
            raise
        except PlatformFailure:
            self._answered(operation)  # a refusal is an answer
            raise
        self._answered(operation)
        return answer

    def _failed(self, operation: str, failure: PlatformFailure) -> None:
        with self._lock:
            since = self._failing_since.setdefault(operation, self._now())
            if self._now() - since >= MOMENT_SECONDS and operation not in self._told:
                self._told.add(operation)
                self._tell(str(failure))

    def _answered(self, operation: str) -> None:
        with self._lock:
            self._failing_since.pop(operation, None)
            if operation in self._told:
                self._told.remove(operation)
                if not self._told:
                    self._tell("")
