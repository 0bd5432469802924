"""Looks at the platform's queue and at Celery's broker now and then: do they take writes, and how long is the backlog?

It also reads there whether calls to the image provider are paused, which may have happened on another host.

After a failover the old primary answers every read, and a full server too; only a write tells.
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
    """``round`` is one look: few commands, because hosted Redis bills them.

    Args:
        queue: the platform's.
        breaker: whose state is in the same Redis.
        broker: Celery's, ``None`` when it is the same Redis: one command answers for both.
        board, metrics: told of what was seen.
    """

    INTERVAL_SECONDS: ClassVar[float] = 10.0
    TIMEOUT_SECONDS: ClassVar[float] = 3.0
    """For each command. A Redis that hangs shows in /health within the two together."""

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
        """Look once.

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
