"""Supervises the main process: replaces an executor that fails, and ends the process when that does not help.

No failure stays unnoticed. A Celery child that crashes, hangs, is never ready or loses its lease is replaced. A thread
that ends by an unexpected error, or a child that keeps failing, ends the process with a non-zero status, and the
container is restarted. On SIGTERM it stops taking tasks, lets running ones finish, hands back the rest and exits 0.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

import redis
import structlog

from models.failures import PlatformFailure
from models.health import Component
from worker.executor_state import STATES_TO_DRAIN, STATES_TO_REPLACE, ExecutorState
from worker.health import HealthBoard
from worker.metrics import Metrics
from worker.supervision.executor import Executor
from worker.supervision.opening import Opening

log = structlog.get_logger()

WATCH_SECONDS: Final = 0.5
"""Between two checks of the executor. A death is noticed at most this much later."""

START_RETRY_SECONDS: Final = 5.0
"""FR-3.4: between tries to start an executor while Redis or Supabase is unreachable."""

MAX_RESTARTS: Final = 5
RESTART_WINDOW_SECONDS: Final = 600.0
"""After more replacements than this within the window the process ends: a restart of the container is seen outside."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the supervisor waits and remembers; other values in tests only."""

    watch_seconds: float = WATCH_SECONDS
    start_retry_seconds: float = START_RETRY_SECONDS
    restart_window_seconds: float = RESTART_WINDOW_SECONDS


PACE: Final = Pace()

EXIT_STOPPED: Final = 0
EXIT_PART_DIED: Final = 1

HEARTBEAT: Final = "heartbeat"
"""The thread that renews the lease."""


class Part(Protocol):
    """A thread that must not end by itself."""

    name: str

    def is_alive(self) -> bool:
        """Whether it still runs."""


class Supervisor:
    """Runs until ``stop_asked``; ``run`` blocks and returns the exit status."""

    def __init__(
        self,
        make_executor: Callable[[], Executor],
        *,
        board: HealthBoard,
        metrics: Metrics,
        shutdown_grace_seconds: float,
        hang_grace_seconds: float,
        lease_seconds: float,
        stop_asked: threading.Event,
        opening: Opening | None = None,
        pace: Pace = PACE,
    ) -> None:
        self._make_executor = make_executor
        self._board = board
        self._metrics = metrics
        self._shutdown_grace_seconds = shutdown_grace_seconds
        self._hang_grace_seconds = hang_grace_seconds
        self._lease_seconds = lease_seconds
        self._stopping = stop_asked
        self._opening = opening or Opening(board.report)
        self._pace = pace
        self._restarts: deque[float] = deque(maxlen=MAX_RESTARTS + 1)
        self._executor = make_executor()
        metrics.tasks.show_in_flight(self.tasks_in_flight)

    def executor_id(self) -> UUID:
        """The id of the current executor."""
        return self._executor.executor_id

    def tasks_in_flight(self) -> int:
        """How many tasks the current executor has taken and not finished."""
        return self._executor.in_flight()

    def renew_lease(self) -> None:
        """One heartbeat; called periodically by a thread of its own.

        Raises:
            PlatformFailure: the database could not be told.
        """
        self._executor.renew_lease()

    def run(self, parts: Sequence[Part]) -> int:
        """Keep an executor running until ``stop_asked``; returns the exit status."""
        self._start_executor()
        while not self._stopping.wait(self._pace.watch_seconds):
            dead = next((part.name for part in parts if not part.is_alive()), None)
            if dead is not None:
                log.critical("part_died", part=dead)
                self._board.part(Component.CONSUMER, up=False, reason=f"{dead} ended, so no more tasks are taken")
                # Without heartbeats, other workers take over the tasks when the lease runs out: end before that.
                self._drain(self._lease_seconds / 2 if dead == HEARTBEAT else self._shutdown_grace_seconds)
                return EXIT_PART_DIED
            state = self._executor.state()
            self._publish(state)
            if state in STATES_TO_REPLACE and not self._replace_executor(state):
                return EXIT_PART_DIED
        log.info("stopping", running=self._executor.running(), grace_seconds=self._shutdown_grace_seconds)
        self._board.draining()
        self._drain(self._shutdown_grace_seconds)
        log.info("stopped")
        return EXIT_STOPPED

    def _drain(self, grace_seconds: float) -> None:
        """Let what runs end; a SIGTERM on the way shortens the wait to what the shutdown allows."""
        begun_at = time.monotonic()
        asked_at: float | None = None

        def latest_end() -> float:
            nonlocal asked_at
            if asked_at is None and self._stopping.is_set():
                asked_at = time.monotonic()
                self._board.draining()
            end = begun_at + grace_seconds
            return end if asked_at is None else min(end, asked_at + self._shutdown_grace_seconds)

        self._executor.stop(latest_end)

    def _replace_executor(self, state: ExecutorState) -> bool:
        log.error("executor_failed", executor=self._executor.name, state=state.value)
        self._metrics.tasks.executor_replaced(state)
        if state in STATES_TO_DRAIN:
            self._drain(self._hang_grace_seconds)
        else:
            self._executor.end()
        self._restarts.append(time.monotonic())
        window_seconds = self._pace.restart_window_seconds
        if len(self._restarts) > MAX_RESTARTS and self._restarts[-1] - self._restarts[0] < window_seconds:
            log.critical("executor_keeps_failing", restarts=len(self._restarts), within_seconds=window_seconds)
            return False
        self._executor = self._make_executor()
        self._start_executor()
        return True

    def _start_executor(self) -> None:
        while not self._stopping.is_set():
            try:
                self._executor.start()
            except (redis.RedisError, PlatformFailure) as error:
                away = Component.REDIS if isinstance(error, redis.RedisError) else Component.DATABASE
                self._board.part(away, up=False, reason=str(error) or type(error).__name__)
                self._opening.something_is_away()
                log.warning(
                    "executor_not_started",
                    reason=type(error).__name__,
                    detail=str(error),
                    retry_seconds=self._pace.start_retry_seconds,
                )
                self._stopping.wait(self._pace.start_retry_seconds)
            else:
                for answered in (Component.REDIS, Component.DATABASE):
                    self._board.part(answered, up=True)
                self._opening.nothing_is_away()
                return

    def _publish(self, state: ExecutorState) -> None:
        running = state is ExecutorState.RUNNING
        if running:
            self._board.starting(value=False)
        consumer_alive = running or state is ExecutorState.HUNG
        celery_alive = running or state is ExecutorState.CONSUMER_DIED
        self._board.part(Component.CONSUMER, up=consumer_alive, reason=state.value)
        self._board.part(Component.CELERY, up=celery_alive, reason=state.value)
