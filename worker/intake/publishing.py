"""Gives dispatches to Celery, over connections that end with their executor."""

import redis
from celery import Celery
from kombu import pools
from kombu.exceptions import OperationalError

from services.queue.refusals import NotThePrimary
from worker.celery_app import TASK_NAME


class BrokerAway(Exception):
    """Celery's broker did not take a dispatch; the platform's queue is another matter (ADR 0011)."""


class Publisher:
    """Publishes to the queue of one executor."""

    def __init__(self, celery: Celery) -> None:
        self._celery = celery

    def publish(self, dispatch_id: str, element: bytes) -> None:
        """Give an element to Celery. With the same id again it is dropped if Celery has it already.

        Raises:
            BrokerAway: it is not certain that the broker has it; the message says what the broker answered.
        """
        try:
            try:
                self._send(dispatch_id, element)
            except OperationalError as error:
                if not isinstance(error.__cause__, NotThePrimary):
                    raise
                self._send(dispatch_id, element)  # over a new connection, perhaps to the new primary
        except (redis.RedisError, OperationalError, OSError) as error:
            raise BrokerAway(str(error) or type(error).__name__) from error

    def _send(self, dispatch_id: str, element: bytes) -> None:
        self._celery.send_task(TASK_NAME, args=[element.decode()], task_id=dispatch_id, retry=False)

    def close(self) -> None:
        """Close the connections. kombu keeps a pool for each executor, for as long as the process lives."""
        connection = self._celery.connection_for_write()
        for group in (pools.producers, pools.connections):
            group[connection].force_close_all()
            del group[connection]
        self._celery.close()
