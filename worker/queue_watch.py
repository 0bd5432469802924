"""Looks at the platform's queue now and then: does Redis answer, and how long is the backlog?"""

from typing import ClassVar

import redis

from services.task_queue import TaskQueue
from worker.health import HealthBoard
from worker.metrics import Metrics


class QueueWatch:
    """``round`` is one look: a single command, because hosted Redis bills each."""

    INTERVAL_SECONDS: ClassVar[float] = 10.0
    TIMEOUT_SECONDS: ClassVar[float] = 3.0
    """For its one command. A Redis that hangs shows in /health within the two together."""

    def __init__(self, queue: TaskQueue, board: HealthBoard, metrics: Metrics) -> None:
        self._queue = queue
        self._board = board
        self._metrics = metrics

    def round(self) -> None:
        """Look once.

        Raises:
            RedisError: it does not answer; the health board has been told.
        """
        try:
            backlog = self._queue.length()
        except redis.RedisError:
            self._board.redis_contact(connected=False)
            raise
        self._board.redis_contact(connected=True)
        self._metrics.backlog.set(backlog)
        for component, up in self._board.components().items():
            self._metrics.component_up.labels(component).set(up)
