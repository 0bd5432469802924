"""Looks at the platform's queue and at Celery's broker now and then: do they answer, and how long is the backlog?"""

from typing import ClassVar

import redis

from services.task_queue import TaskQueue
from worker.health import HealthBoard
from worker.metrics import Metrics


class QueueWatch:
    """``round`` is one look: a single command to each, because hosted Redis bills them.

    Args:
        queue: the platform's.
        broker: Celery's, ``None`` when it is the same Redis: one command answers for both.
        board, metrics: told of what was seen.
    """

    INTERVAL_SECONDS: ClassVar[float] = 10.0
    TIMEOUT_SECONDS: ClassVar[float] = 3.0
    """For its one command. A Redis that hangs shows in /health within the two together."""

    def __init__(self, queue: TaskQueue, broker: "redis.Redis | None", board: HealthBoard, metrics: Metrics) -> None:
        self._queue = queue
        self._broker = broker
        self._board = board
        self._metrics = metrics

    def round(self) -> None:
        """Look once.

        Raises:
            RedisError: it does not answer; the health board has been told.
        """
        if self._broker is not None:
            self._board.broker_contact(connected=self._broker_answers(self._broker))
        try:
            backlog = self._queue.length()
        except redis.RedisError:
            self._tell_of_redis(connected=False)
            raise
        self._tell_of_redis(connected=True)
        self._metrics.backlog.set(backlog)
        for component, up in self._board.components().items():
            self._metrics.component_up.labels(component).set(up)

    def _tell_of_redis(self, *, connected: bool) -> None:
        self._board.redis_contact(connected=connected)
        if self._broker is None:
            self._board.broker_contact(connected=connected)

    @staticmethod
    def _broker_answers(broker: "redis.Redis") -> bool:
        try:
            return bool(broker.ping())
        except redis.RedisError:
            return False
