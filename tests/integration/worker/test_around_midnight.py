"""The real worker while the platform's stuck-session job is about: it keeps what it has, waits, and looks again."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import psycopg
import pytest

from models.generation import SessionRef, SessionStatus
from sandbox.platform.database_clock import MIDNIGHT, DatabaseClock
from tests.support.platform_acts import LONG_AGO, fail, refund
from tests.support.worker import HELD, WAIT_SECONDS, Stage, Worker, wait_until

pytest_plugins = ["tests.support.worker_fixtures"]

THE_LAST_SECOND: Final = MIDNIGHT + timedelta(minutes=4, seconds=59)
"""Of the window: whoever waits looks again after a second."""


@pytest.fixture
def connection(stage: Stage) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    options = "-c search_path=public"
    with psycopg.connect(stage.world.postgres.dsn, autocommit=True, options=options) as connection:
        yield connection


@pytest.fixture
def clock(connection: psycopg.Connection[tuple[object, ...]]) -> Iterator[DatabaseClock]:
    with DatabaseClock(connection) as clock:
        clock.set(DatabaseClock.NOON)
        yield clock


@pytest.fixture(scope="module")
def worker(stage: Stage) -> Worker:
    worker = stage.worker()
    worker.start()
    return worker


def old_session(stage: Stage, prompt: str = HELD) -> SessionRef:
    """One that the job lists, pushed now; while the worker may not take it."""
    submitted = stage.platform.submit_b2c([stage.photo], prompt=prompt, push=False)
    make_old(stage, submitted.session)
    stage.platform.push(submitted.payload)
    return submitted.session


def old_sessions_under_way(stage: Stage, *prompts: str) -> list[SessionRef]:
    """Some that the job lists, whose pictures the provider is asked for. (Old ones without a task are lost ones.)"""
    sessions = [stage.submit(prompt) for prompt in prompts]
    stage.wait_until_held(len(sessions))
    for session in sessions:
        make_old(stage, session)
    return sessions


def make_old(stage: Stage, session: SessionRef) -> None:
    stage.platform.execute(
        "UPDATE generation_sessions SET created_at = created_at - %s WHERE id = %s", LONG_AGO, session.session_id
    )


def refunds(stage: Stage, session: SessionRef) -> int:
    owner = stage.platform.session(session).owner_id
    return sum(line.owner_id == owner and line.type == "refund" for line in stage.platform.ledger())


def waiting(worker: Worker, session: SessionRef, operation: str) -> None:
    worker.wait_for_line("waiting_for_the_platforms_job", session_id=str(session.session_id), operation=operation)


def test_what_is_not_begun_begins_when_the_job_is_past_it(stage: Stage, worker: Worker, clock: DatabaseClock) -> None:
    clock.set(THE_LAST_SECOND)
    session = old_session(stage, "begins later")
    waiting(worker, session, "claim")
    assert stage.platform.session(session).status is SessionStatus.QUEUED
    clock.set(DatabaseClock.AFTERWARDS)
    [row] = stage.wait_for(session)
    assert row.status is SessionStatus.COMPLETED
    assert stage.claim(session)["attempt"] == 1
    assert stage.wrong_books() == []


def test_a_picture_that_is_ready_is_kept_and_delivered_when_the_job_did_not_come(
    stage: Stage, worker: Worker, clock: DatabaseClock
) -> None:
    [session] = old_sessions_under_way(stage, HELD)
    clock.set(THE_LAST_SECOND)
    stage.release()
    waiting(worker, session, "complete")
    clock.set(DatabaseClock.AFTERWARDS)
    [row] = stage.wait_for(session)
    assert (row.status, stage.claim(session)["attempt"]) == (SessionStatus.COMPLETED, 1)
    assert stage.wrong_books() == []


@pytest.mark.parametrize("prompt", [HELD, f"{HELD}[[sim:moderation]]"], ids=["a picture", "a failure"])
def test_what_the_job_refunds_and_fails_meanwhile_is_left_to_it(
    stage: Stage,
    worker: Worker,
    clock: DatabaseClock,
    connection: psycopg.Connection[tuple[object, ...]],
    prompt: str,
) -> None:
    [session] = old_sessions_under_way(stage, prompt)
    clock.set(THE_LAST_SECOND)
    stage.release()
    waiting(worker, session, "complete" if prompt == HELD else "fail")
    with connection.transaction():  # recovery must not find what is refunded and still open
        refund(connection, session)
        fail(connection, session)
    wait_until(lambda: not stage.in_flight(worker.executor()), "the copy is dropped")
    row = stage.platform.session(session)
    assert (row.status, row.generated_image_url, refunds(stage, session)) == (SessionStatus.FAILED, None, 1)
    assert stage.refund(session) == {}
    assert stage.wrong_books() == []


def test_what_the_job_refunds_and_never_fails_is_failed_by_recovery_without_a_second_refund(
    stage: Stage, worker: Worker, clock: DatabaseClock, connection: psycopg.Connection[tuple[object, ...]]
) -> None:
    [session] = old_sessions_under_way(stage, HELD)
    refund(connection, session)
    stage.release()
    worker.wait_for_line("completion_came_too_late", session_id=str(session.session_id), outcome="refunded")
    [row] = stage.wait_for(session)
    assert (row.status, row.generated_image_url, refunds(stage, session)) == (SessionStatus.FAILED, None, 1)
    assert stage.refund(session)["by_platform"] is True
    assert stage.wrong_books() == []


def test_what_was_refunded_before_it_began_is_only_marked_and_costs_no_provider_call(
    stage: Stage, worker: Worker, clock: DatabaseClock, connection: psycopg.Connection[tuple[object, ...]]
) -> None:
    already_refunded = worker.metric("wearon_refund_total", kind="already_refunded")
    submitted = stage.platform.submit_b2c([stage.photo], prompt="refunded before it began", push=False)
    refund(connection, submitted.session)
    stage.platform.push(submitted.payload)
    [row] = stage.wait_for(submitted.session)
    assert (row.status, refunds(stage, submitted.session)) == (SessionStatus.FAILED, 1)
    assert stage.provider_requests("refunded before it began") == []
    wait_until(
        lambda: worker.metric("wearon_refund_total", kind="already_refunded") > already_refunded, "the metric tells"
    )
    assert stage.wrong_books() == []


def test_a_worker_that_is_asked_to_stop_while_it_waits_hands_everything_back_at_once(
    stage: Stage, worker: Worker, clock: DatabaseClock
) -> None:
    """A picture, a failure and a task that was not begun: each is run again by whoever comes next."""
    prompts = {"complete": HELD, "fail": f"{HELD}[[sim:moderation]]"}
    sessions = dict(zip(prompts, old_sessions_under_way(stage, *prompts.values()), strict=True))
    clock.set(DatabaseClock.WHILE_THE_JOB_RUNS)
    stage.release()
    sessions["claim"] = old_session(stage)
    for operation, session in sessions.items():
        waiting(worker, session, operation)
    worker.terminate()
    assert worker.wait(WAIT_SECONDS) == 0
    assert set(stage.waiting_sessions()) == {str(session.session_id) for session in sessions.values()}
    assert {stage.platform.session(session).status for session in sessions.values()} == {SessionStatus.QUEUED}
    assert {stage.claim(session)["attempt"] for session in sessions.values()} == {0}
    assert stage.wrong_books() == []
