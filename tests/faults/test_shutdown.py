"""SIGTERM, as in every deploy, and how much a worker holds at any moment."""

import os
import signal
from collections.abc import Callable

import pytest

from models.generation import SessionRef, SessionStatus
from tests.support.worker import HELD, WAIT_SECONDS, Stage, Worker, wait_until

pytest_plugins = ["tests.support.worker_fixtures"]

CONCURRENCY = 4
GRACE_SECONDS = 15
"""No shorter than a task may take, so a task goes beyond it only when its process does not go on."""


@pytest.fixture(scope="module")
def start_worker(stage: Stage) -> Callable[[], Worker]:
    """Starts the worker of the module unless it runs."""
    worker = stage.worker(WORKER_CONCURRENCY=str(CONCURRENCY))

    def start() -> Worker:
        worker.start()
        return worker

    return start


def ids(sessions: list[SessionRef]) -> list[str]:
    """Session ids as they stand in queue elements."""
    return [str(session.session_id) for session in sessions]


def test_what_has_not_begun_or_does_not_finish_in_time_goes_back_to_the_queue_in_its_old_order(
    stage: Stage, start_worker: Callable[[], Worker]
) -> None:
    """With three turns a minute: one task in its ten seconds after a 429, one at a provider that does not answer, one
    that waits for its turn, and one that is still in the queue. Only the second has used up one of its two runs. Its
    process is frozen before its time is up: within the grace every task that goes on ends by its own limit.
    """
    stopped = stage.worker(
        "stopped",
        OPENAI_REQUESTS_PER_MINUTE="3",
        SHUTDOWN_GRACE_SECONDS=str(GRACE_SECONDS),
        TASK_LIMIT_SECONDS=str(GRACE_SECONDS),
    )
    stopped.start()
    postponed = stage.submit("[[sim:429-once]] postponed")
    wait_until(lambda: stage.claim(postponed).get("rate_limited"), "the task is sent back to the queue")
    stage.wait_for(stage.submit("takes the second turn"))
    hanging = stage.submit("[[sim:hang-once]] at the provider")
    wait_until(lambda: stage.provider_requests("at the provider"), "the provider hangs")
    waiting = stage.submit("waits for its turn")
    stage.wait_for_status("processing", waiting)
    queued = stage.submit("still in the queue")
    everything = [postponed, hanging, waiting, queued]

    stopped.terminate()
    wait_until(lambda: stage.claim(waiting).get("attempt") == 0, "what waits for its turn is released")
    wait_until(lambda: stopped.lines("session_released", rate_limited=False), "and told so")
    wait_until(lambda: stopped.metric("wearon_tasks_in_flight") == 2, "and the main process knows")
    os.kill(stopped.celery_pid(), signal.SIGSTOP)
    assert stopped.wait(GRACE_SECONDS + WAIT_SECONDS) == 0
    assert stage.waiting_sessions() == ids(everything)
    assert {stage.platform.session(session).status for session in everything} == {SessionStatus.QUEUED}
    assert [stage.claim(session).get("attempt", 0) for session in everything] == [0, 1, 0, 0]
    assert stage.provider_requests("waits for its turn") == []
    assert stopped.lines("grace_period_over", running=1)

    start_worker()
    rows = stage.wait_for(*everything)
    assert [row.status for row in rows] == [SessionStatus.COMPLETED] * 4
    assert [stage.claim(session)["attempt"] for session in everything] == [1, 2, 1, 1]
    assert stage.wrong_books() == []


def test_a_worker_holds_no_more_than_it_runs_and_finishes_that_when_it_is_stopped(
    stage: Stage, start_worker: Callable[[], Worker]
) -> None:
    worker = start_worker()
    executor = worker.executor()
    sessions = [stage.submit(f"{HELD} one of many {number}") for number in range(4 * CONCURRENCY)]
    stage.wait_until_held(CONCURRENCY)
    assert len(stage.in_flight(executor)) == CONCURRENCY
    stage.release(CONCURRENCY)
    stage.wait_for(*sessions[:CONCURRENCY])
    stage.wait_until_held(CONCURRENCY)
    assert len(stage.in_flight(executor)) == CONCURRENCY
    assert stage.platform.queue_length() == 2 * CONCURRENCY  # the backlog stays where it can be seen

    worker.terminate()
    wait_until(lambda: worker.health()["draining"], "the worker has begun to stop")
    stage.release()
    assert worker.wait(WAIT_SECONDS) == 0
    assert [stage.platform.session(session).status.value for session in sessions] == (
        ["completed"] * 2 * CONCURRENCY + ["queued"] * 2 * CONCURRENCY
    )
    assert stage.waiting_sessions() == ids(sessions[2 * CONCURRENCY :])
    assert stage.in_flight(executor) == []
    assert len(stage.provider_requests("one of many")) == 2 * CONCURRENCY
    assert stage.wrong_books() == []
