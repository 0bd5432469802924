"""kill -9, at every place where a task can be."""

from uuid import UUID

from models.generation import SessionStatus
from sandbox.platform.producer import QUEUE_KEY
from tests.support.worker import IN_FLIGHT_PREFIX, Stage, Worker, wait_until

pytest_plugins = ["tests.support.worker_fixtures"]

WENT_WRONG = "Something went wrong while making your picture. Please try again. You have not been charged."


def test_no_death_of_the_worker_loses_a_task_and_the_second_one_on_the_same_task_is_its_last(stage: Stage) -> None:
    """First the Celery child is killed, then the whole process tree.

    The deaths find one task at the provider (both times), one in the ten seconds after a rate limit, one moved out of
    the queue but not yet given to Celery, and one that still waits in the queue.
    """
    worker = stage.worker()
    worker.start()
    poison = stage.submit("[[sim:latency=120]] no worker survives this one")
    postponed = stage.submit("[[sim:429-once]] back in ten seconds")
    stage.wait_for_status("processing", poison)
    wait_until(lambda: stage.claim(postponed).get("rate_limited"), "the task is sent back to the queue")
    wait_until(lambda: len(stage.provider_requests("no worker survives")) == 1, "the provider is at work")

    first_executor = worker.executor()
    kill_celery(worker)
    [row] = stage.wait_for(postponed)
    assert row.status is SessionStatus.COMPLETED
    assert stage.claim(postponed)["attempt"] == 1  # a death between two runs costs none
    wait_until(lambda: len(stage.provider_requests("no worker survives")) == 2, "the task runs again")
    assert stage.claim(poison)["attempt"] == 2
    assert worker.executor() != first_executor
    assert worker.metric("wearon_executor_restarts_total", reason="child_died") == 1
    assert stage.in_flight(first_executor) == []

    second_executor = worker.executor()
    worker.kill()
    between = stage.submit("between the pop and the hand-over")
    stage.redis.lmove(QUEUE_KEY, f"{IN_FLIGHT_PREFIX}{second_executor}", "RIGHT", "LEFT")  # all that BLMOVE does
    waiting = stage.submit("still in the queue")
    worker.start()
    rows = stage.wait_for(between, waiting, poison)
    assert [row.status for row in rows] == [SessionStatus.COMPLETED, SessionStatus.COMPLETED, SessionStatus.FAILED]
    assert rows[-1].error_message == WENT_WRONG
    assert stage.refund(poison)["reason"] == "attempts_exhausted"
    assert len(stage.provider_requests("no worker survives")) == 2
    assert worker.lines("dead_executor_recovered", executor=str(second_executor))
    assert stage.in_flight(second_executor) == []
    assert keys_of(stage, first_executor) == []
    assert stage.wrong_books() == []


def kill_celery(worker: Worker) -> None:
    """SIGKILL to the Celery child alone."""
    child = next(process for process in worker.processes() if process.pid == worker.celery_pid())
    child.kill()


def keys_of(stage: Stage, executor: UUID) -> list[str]:
    """Lists, Celery queues and unacknowledged messages that an executor has in Redis."""
    keys: list[bytes] = stage.redis.keys(f"*{executor}*")  # type: ignore[assignment] # redis-py types both its clients
    return [key.decode() for key in keys]
