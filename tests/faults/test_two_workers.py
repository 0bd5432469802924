"""Two workers at once, as in every deploy; one of them may be frozen, dead or a zombie."""

from collections.abc import Iterator
from uuid import UUID

import psutil
import pytest

from models.generation import SessionRef, SessionStatus
from tests.support.worker import HELD, Stage, Worker, wait_until

pytest_plugins = ["tests.support.worker_fixtures"]

LEASE_SECONDS = 6
"""A worker that a busy machine does not let run for a moment is not dead yet."""

ROUNDS_SECONDS = 2
"""Some rounds of recovery."""


@pytest.fixture(scope="module")
def pair(stage: Stage) -> Iterator[tuple[Worker, Worker]]:
    """The old worker, and the new one that comes up while the old one works."""
    old, new = (stage.worker(name, WORKER_LEASE_SECONDS=str(LEASE_SECONDS)) for name in ("old", "new"))
    old.start()
    yield old, new
    assert stage.wrong_books() == []


def owner_of(stage: Stage, session: SessionRef) -> UUID | None:
    """The executor that holds a session."""
    executor = stage.claim(session).get("executor")
    return UUID(executor) if executor else None


def may_judge_others(stage: Stage, worker: Worker) -> bool:
    """Whether it has held its own lease for as long as it must, and for some rounds more."""
    return bool(
        stage.platform.value(
            "SELECT continuous_since < clock_timestamp() - make_interval(secs => %s)"
            " FROM wearon_worker.executors WHERE executor = %s",
            LEASE_SECONDS + ROUNDS_SECONDS,
            worker.executor(),
        )
    )


def waiting_consumers(stage: Stage) -> int:
    """How many wait at the platform's queue this moment."""
    clients: list[dict[str, str]] = stage.redis.client_list()  # type: ignore[assignment] # redis-py types both as one
    return sum(client["cmd"] == "blmove" and "b" in client["flags"] for client in clients)


def start_one_by_one(stage: Stage, *prompts: str) -> list[SessionRef]:
    """Submit tasks, each when both workers wait for one, and Redis serves whoever has waited longest: both get some."""
    sessions = []
    for prompt in prompts:
        wait_until(lambda: waiting_consumers(stage) == 2, "both wait for a task")
        sessions.append(stage.submit(prompt))
        stage.wait_for_status("processing", sessions[-1])
    return sessions


def test_a_worker_that_comes_up_leaves_alone_what_a_living_one_does(stage: Stage, pair: tuple[Worker, Worker]) -> None:
    old, new = pair
    under_way = [stage.submit(f"{HELD} begun by the old one {number}") for number in range(3)]
    stage.wait_until_held(len(under_way))
    executor = old.executor()
    assert {owner_of(stage, session) for session in under_way} == {executor}
    new.start()
    wait_until(lambda: may_judge_others(stage, new), "the new one has judged the old one")
    stage.release()
    rows = stage.wait_for(*under_way)
    assert [row.status for row in rows] == [SessionStatus.COMPLETED] * 3
    assert [stage.claim(session)["attempt"] for session in under_way] == [1] * 3
    assert len(stage.provider_requests("begun by the old one")) == 3
    assert new.lines("dead_executor_recovered") == []
    assert old.executor() == executor


def test_a_frozen_worker_loses_its_work_and_as_a_zombie_can_neither_complete_nor_refund_it(
    stage: Stage, pair: tuple[Worker, Worker]
) -> None:
    """Two pictures and two refusals, shared out between the two; one of each is with the worker that freezes."""
    sessions = start_one_by_one(
        stage,
        f"{HELD} good one",
        f"{HELD} good two",
        f"{HELD}[[sim:moderation-output]] bad one",
        f"{HELD}[[sim:moderation-output]] bad two",
    )
    stage.wait_until_held(len(sessions))
    owners = {session: owner_of(stage, session) for session in sessions}
    zombie, survivor = sorted(pair, key=lambda worker: worker.executor() != owners[sessions[0]])
    frozen_executor = zombie.executor()
    taken_over = [session for session in sessions if owners[session] == frozen_executor]
    kept = [session for session in sessions if session not in taken_over]
    zombie.pause_all()
    survivor.wait_for_line("dead_executor_recovered", executor=str(frozen_executor))
    wait_until(
        lambda: {owner_of(stage, session) for session in taken_over} == {survivor.executor()}, "the survivor has them"
    )
    stage.wait_until_held(len(sessions) + len(taken_over))
    stage.release()
    psutil.Process(zombie.celery_pid()).resume()  # it finds the provider's answers and believes to be alive
    zombie.wait_for_line("completion_came_too_late")
    zombie.wait_for_line("failure_not_recorded")
    zombie.resume_all()

    rows = stage.wait_for(*sessions)
    assert [row.status.value for row in rows] == ["completed", "completed", "failed", "failed"]
    assert {stage.claim(session)["attempt"] for session in taken_over} == {2}
    assert {stage.claim(session)["attempt"] for session in kept} == {1}
    zombie.wait_for_line("executor_failed", state="declared_dead")
    wait_until(lambda: zombie.executor() != frozen_executor, "the zombie has begun a new life")
    wait_until(lambda: zombie.health()["celery_alive"], "the zombie takes tasks")


def test_the_celery_process_dies_with_its_main_process_and_the_other_worker_runs_its_tasks(
    stage: Stage, pair: tuple[Worker, Worker]
) -> None:
    sessions = start_one_by_one(stage, f"{HELD} orphan one", f"{HELD} orphan two")
    stage.wait_until_held(len(sessions))
    owners = {session: owner_of(stage, session) for session in sessions}
    dead, survivor = sorted(pair, key=lambda worker: worker.executor() != owners[sessions[0]])
    dead_executor, child_pid = dead.executor(), dead.celery_pid()
    orphans = [session for session in sessions if owners[session] == dead_executor]
    dead.kill_main()
    wait_until(lambda: not psutil.pid_exists(child_pid), "the child is gone")
    wait_until(lambda: len(stage.provider_requests("orphan")) == len(sessions) + len(orphans), "the survivor runs them")
    stage.wait_until_held(len(sessions))
    stage.release()
    rows = stage.wait_for(*sessions)
    assert [row.status for row in rows] == [SessionStatus.COMPLETED] * 2
    assert {session: stage.claim(session)["attempt"] for session in sessions} == {
        session: 2 if session in orphans else 1 for session in sessions
    }
    assert survivor.lines("dead_executor_recovered", executor=str(dead_executor))
