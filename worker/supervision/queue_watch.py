"""Checks periodically whether the platform's queue and Celery's broker take writes, and what waits in the queue.

It also reads from Redis what all workers together took of the image provider's rate window, and whether calls to it are
paused, which another host may have decided.

The check must be a write: after a failover the old primary still answers reads, and so does a full server.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import ClassVar

import redis

from models.health import Component
from services.queue.connection import prove_writable
from services.queue.refusals import words_of
from services.queue.task_queue import QueueLook, TaskQueue
from services.turns.provider_report import ProviderLook, ProviderReport
from worker.elements import MAX_ELEMENT_BYTES, Accepted, read_element
from worker.health import HealthBoard
from worker.metrics import Metrics


def oldest_waiting_seconds(look: QueueLook, now: datetime) -> float | None:
    """Age of the task that is taken next [pure]: 0 when none waits; ``None`` when what waits there is no task."""
    if look.waiting == 0:
        return 0.0
    match read_element(look.oldest or b""):
        case Accepted(task):
            return max(0.0, (now - task.created_at).total_seconds())
        case _:
            return None


class QueueWatch:
    """``round`` is one check, with few commands, because hosted Redis bills them.

    Args:
        queue: the platform's.
        provider: what the workers share about it; in the same Redis.
        broker: Celery's; ``None`` when it is the same Redis, and one check is for both.
        board, metrics: told the results.
        now: replaced in tests.
    """

    INTERVAL_SECONDS: ClassVar[float] = 10.0
    TIMEOUT_SECONDS: ClassVar[float] = 3.0
    """For each command. /health shows a hanging Redis within this and ``INTERVAL_SECONDS`` together."""

    def __init__(
        self,
        queue: TaskQueue,
        provider: ProviderReport,
        broker: "redis.Redis | None",
        board: HealthBoard,
        metrics: Metrics,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._queue = queue
        self._provider = provider
        self._broker = broker
        self._board = board
        self._metrics = metrics
        self._now = now

    def round(self) -> None:
        """Check once.

        Raises:
            RedisError: the queue does not answer or takes no writes; the health board has been told.
        """
        if self._broker is not None:
            self._look_at_broker(self._broker)
        try:
            queue = self._queue.look(most_bytes=MAX_ELEMENT_BYTES)
            provider = self._provider.look()
        except redis.RedisError as error:
            self._tell_of_redis(up=False, reason=words_of(error))
            self._metrics.tasks.show_waiting(None, None)
            self._metrics.provider.rate_window.set(None)
            raise
        self._tell_of_redis(up=True)
        self._metrics.tasks.show_waiting(queue.waiting, oldest_waiting_seconds(queue, self._now()))
        self._show(provider)

    def _show(self, provider: ProviderLook) -> None:
        self._metrics.provider.rate_window.set(provider.turns_taken)
        self._metrics.provider.show_pause(provider.blocked_by)
        self._board.part(Component.PROVIDER, up=provider.blocked_by is None, reason=provider.blocked_by or "")

    def _tell_of_redis(self, *, up: bool, reason: str = "") -> None:
        self._board.part(Component.REDIS, up=up, reason=reason)
        if self._broker is None:
            self._board.part(Component.BROKER, up=up, reason=reason)

    def _look_at_broker(self, broker: "redis.Redis") -> None:
        try:
            prove_writable(broker)
        except redis.RedisError as error:
            self._board.part(Component.BROKER, up=False, reason=words_of(error))
        else:
            self._board.part(Component.BROKER, up=True)
