"""Checks periodically whether the platform's queue and Celery's broker take writes, and how long the backlog is.

It also reads from Redis whether calls to the image provider are paused, which another host may have decided.

The check must be a write: after a failover the old primary still answers reads, and so does a full server.
"""

from typing import ClassVar

import redis

from models.health import Component
from services.queue.connection import prove_writable
from services.queue.refusals import words_of
from services.queue.task_queue import TaskQueue
from services.turns.breaker import ProviderBreaker
from worker.health import HealthBoard
from worker.metrics import Metrics


class QueueWatch:
    """``round`` is one check, with few commands, because hosted Redis bills them.

    Args:
        queue: the platform's.
        breaker: of the provider; its state is in the same Redis.
        broker: Celery's; ``None`` when it is the same Redis, and one check is for both.
        board, metrics: told the results.
    """

    INTERVAL_SECONDS: ClassVar[float] = 10.0
    TIMEOUT_SECONDS: ClassVar[float] = 3.0
    """For each command. /health shows a hanging Redis within this and ``INTERVAL_SECONDS`` together."""

    def __init__(
        self,
        queue: TaskQueue,
        breaker: ProviderBreaker,
        broker: "redis.Redis | None",
        board: HealthBoard,
        metrics: Metrics,
    ) -> None:
        self._queue = queue
        self._breaker = breaker
        self._broker = broker
        self._board = board
        self._metrics = metrics

    def round(self) -> None:
        """Check once.

        Raises:
            RedisError: the queue does not answer or takes no writes; the health board has been told.
        """
        if self._broker is not None:
            self._look_at_broker(self._broker)
        try:
            backlog = self._queue.backlog()
            blocked_by = self._breaker.blocked_by()
        except redis.RedisError as error:
            self._tell_of_redis(up=False, reason=words_of(error))
            self._metrics.backlog.forget()
            raise
        self._tell_of_redis(up=True)
        self._metrics.backlog.set(backlog)
        self._board.part(Component.PROVIDER, up=blocked_by is None, reason=blocked_by or "")

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
