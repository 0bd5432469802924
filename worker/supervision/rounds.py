"""A periodic loop in a thread of its own. One round of it is a function, which tests call directly."""

import threading
from collections.abc import Callable
from typing import Final

import redis
import structlog

from models.failures import PlatformFailure

log = structlog.get_logger()

UNREACHABLE: Final = (redis.RedisError, PlatformFailure)
"""The errors of a round when Redis or Supabase is unreachable, or does not do what was asked."""


class Rounds:
    """Runs ``do_round`` every ``interval_seconds`` until stopped; after an error, ``retry_seconds`` later if sooner.

    An error of a type in ``expected`` is logged, and the next round tries again. Any other error ends the thread, which
    the supervisor notices.
    """

    def __init__(
        self,
        name: str,
        interval_seconds: float,
        do_round: Callable[[], None],
        expected: tuple[type[Exception], ...],
        retry_seconds: float | None = None,
    ) -> None:
        self.name = name
        self._retry_seconds = interval_seconds if retry_seconds is None else min(retry_seconds, interval_seconds)
        self._interval_seconds = interval_seconds
        self._do_round = do_round
        self._expected = expected
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread; the first round begins at once."""
        self._thread.start()

    def stop(self) -> None:
        """Start no further round."""
        self._stopping.set()

    def is_alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            pause_seconds = self._interval_seconds
            try:
                self._do_round()
            except self._expected as error:
                pause_seconds = self._retry_seconds
                log.warning("round_failed", round=self.name, reason=type(error).__name__, detail=str(error))
            self._stopping.wait(pause_seconds)
