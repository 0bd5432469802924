"""A loop that does one round of something again and again; the round is a method that tests call."""

import threading
from collections.abc import Callable
from typing import Final

import redis
import structlog

from models.failures import PlatformFailure

log = structlog.get_logger()

AWAY: Final = (redis.RedisError, PlatformFailure)
"""What a round meets when Redis or Supabase is away."""


class Rounds:
    """Runs ``do_round`` every ``interval_seconds`` in a thread of its own until stopped; after an error again after
    ``retry_seconds`` when that is sooner.

    An error of a kind in ``expected`` is logged and the next round tries again; any other ends the thread, which the
    supervisor notices.
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
        """Begin with a round at once."""
        self._thread.start()

    def stop(self) -> None:
        """Begin no further round."""
        self._stopping.set()

    def is_alive(self) -> bool:
        """Whether rounds are still being done."""
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
