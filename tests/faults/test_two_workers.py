"""Two workers at once, as in every deploy; one of them may be frozen, dead or a zombie."""

from collections.abc import Iterator
from uuid import UUID

import psutil
import pytest

from models.generation import SessionRef, SessionStatus
from tests.support.worker import HELD, Stage, Worker, wait_until

pytest_plugins = ["tests.support.worker_fixtures"]

LONG_ENOUGH_TO_BE_JUDGED = "[[sim:latency=6]]"
"""The new worker needs 3 s to come up and a lease time until it may judge others."""


@pytest.fixture(scope="module")
def pair(stage: Stage) -> Iterator[tuple[Worker, Worker]]:
    """The old worker, and the new one that comes up while the old one works."""
    old, new = stage.worker("old"), stage.worker("new")
    old.start()
    yield old, new
    assert stage.wrong_books() == []


def owner_of(stage: Stage, session: SessionRef) -> UUID | None:
    """The executor that holds a session."""
    executor = stage.claim(session).get("executor")
    return UUID(executor) if executor else None


def start_one_by_one(stage: Stage, *prompts: str) -> list[SessionRef]:
    """Submit tasks, each when the one before has been claimed, so that both workers get some."""
    sessions = []
    for prompt in prompts:
        sessions.append(stage.submit(prompt))
        stage.wait_for_status("processing", sessions[-1])
    return sessions


def test_a_worker_that_comes_up_leaves_alone_what_a_living_one_does(stage: Stage, pair: tuple[Worker, Worker]) -> None:
    old, new = pair
    under_way = [stage.submit(f"{LONG_ENOUGH_TO_BE_JUDGED} begun by the old one {number}") for number in range(3)]
    stage.wait_for_status("processing", *under_way)
    executor = old.executor()
    assert {owner_of(stage, session) for session in under_way} == {executor}
    new.start()
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
    wait_until(lambda: not psutil.pid_exists(child_pid), "the child is gone", timeout_seconds=2)
    wait_until(lambda: len(stage.provider_requests("orphan")) == len(sessions) + len(orphans), "the survivor runs them")
    stage.wait_until_held(len(sessions))
    stage.release()
    rows = stage.wait_for(*sessions)
    assert [row.status for row in rows] == [SessionStatus.COMPLETED] * 2
    assert {session: stage.claim(session)["attempt"] for session in sessions} == {
        session: 2 if session in orphans else 1 for session in sessions
    }
    assert survivor.lines("dead_executor_recovered", executor=str(dead_executor))
