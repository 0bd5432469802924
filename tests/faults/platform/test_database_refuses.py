"""A gateway answers in the database's place, or the database takes no writes or says no to everything: under load."""

import pytest

from models.generation import SessionStatus
from tests.support.platform_faults import read_only_database
from tests.support.platform_proxy import EVERYTHING, REST, PlatformProxy, Reply, database_error, page, redirect
from tests.support.refused_platform import (
    AGAIN_SECONDS,
    CONCURRENCY,
    QUEUE_LENGTH,
    assert_all_completed,
    is_degraded,
    submit_many,
)
from tests.support.worker import Stage, Worker, wait_until
from worker.execution.burial_brake import BURIALS_IN_A_ROW

pytest_plugins = ["tests.support.worker_fixtures"]

CLAIM = f"{REST}wearon_worker_claim"


@pytest.mark.parametrize(
    "reply",
    [
        page(404),
        redirect("https://elsewhere.example/login"),
        page(200, "Back soon"),
        page(403, "Forbidden"),
        database_error(405, "25006", "cannot execute INSERT in a read-only transaction"),
        database_error(400, "0A000", "cannot execute in this mode"),
    ],
    ids=lambda reply: f"{reply.status} {reply.body[:30]!r}",
)
def test_whatever_answers_in_the_database_s_place_a_queue_waits_and_nothing_is_buried(
    stage: Stage, worker: Worker, proxy: PlatformProxy, *, reply: Reply
) -> None:
    lines_before = len(worker.lines("platform_away"))
    proxy.answer(EVERYTHING, reply)
    sessions = submit_many(stage, "behind a gateway")
    wait_until(lambda: len(worker.lines("platform_away")) > lines_before + 4 * CONCURRENCY, "calls are repeated")
    assert stage.dead_letters() == []
    proxy.forward_all()
    assert_all_completed(stage, sessions)
    assert stage.dead_letters() == []


def test_a_gateway_that_stays_in_the_database_s_place_degrades_health_with_its_words(
    stage: Stage, worker: Worker, proxy: PlatformProxy
) -> None:
    before = len(worker.lines("part_down", part="database"))
    proxy.answer(EVERYTHING, page(404, "Nothing here"))
    down = worker.wait_for_line("part_down", count=before + 1, part="database")
    wait_until(lambda: is_degraded(worker, "database"), "the health check tells")
    assert down["level"] == "error"
    assert "HTTP 404 (404 Nothing here)" in down["reason"]


def test_a_database_that_takes_no_writes_buries_nothing(stage: Stage, worker: Worker) -> None:
    stage.platform.execute("SET default_transaction_read_only = off")  # the app's own connection goes elsewhere
    before = len(worker.lines("platform_away", operation="claim", reason="25006"))
    with read_only_database(stage.world.postgres.dsn):
        sessions = submit_many(stage, "read-only")
        worker.wait_for_line("platform_away", count=before + 1, operation="claim", reason="25006")
    assert_all_completed(stage, sessions)
    assert stage.dead_letters() == []


def test_tasks_refused_one_after_the_other_for_one_reason_stop_the_intake(
    stage: Stage, worker: Worker, proxy: PlatformProxy
) -> None:
    proxy.answer(CLAIM, database_error(400, "P0001", "somebody broke the function"))
    sessions = submit_many(stage, "refused")
    stopped = worker.wait_for_line("intake_stopped")
    assert (stopped["level"], stopped["reason"]) == ("error", "platform refused wearon_worker_claim_v2: P0001")
    wait_until(lambda: is_degraded(worker, "database"), "the health check tells")
    assert len(stage.dead_letters()) <= BURIALS_IN_A_ROW + 2
    # One is tried, and buried, in each pause; the rest waits.
    wait_until(lambda: len(stage.dead_letters()) > BURIALS_IN_A_ROW, "one is tried")
    proxy.forward_all()
    worker.wait_for_line("intake_resumed")
    rows = stage.wait_for(*sessions, timeout_seconds=AGAIN_SECONDS)
    buried = len(stage.dead_letters())
    assert BURIALS_IN_A_ROW < buried < QUEUE_LENGTH // 2
    assert sum(row.status is SessionStatus.COMPLETED for row in rows) == QUEUE_LENGTH - buried
    assert "somebody broke the function" in stage.dead_letters()[0]["detail"]
