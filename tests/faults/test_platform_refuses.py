"""A gateway answers in the platform's place, the database takes no writes, Storage takes no pictures: under load.

The worker reaches the real Supabase API through a gateway that can be told to misbehave.
"""

from collections.abc import Iterator

import psycopg
import pytest

from models.generation import SessionRef, SessionStatus
from services.platform.storage_gate import LOOK_SECONDS
from tests.support.platform_acts import give_up
from tests.support.platform_faults import bucket_limited, bucket_renamed, read_only_database
from tests.support.platform_proxy import (
    EVERYTHING,
    REST,
    UPLOAD,
    PlatformProxy,
    Reply,
    database_error,
    page,
    redirect,
    storage_error,
)
from tests.support.worker import Stage, Worker, wait_until
from worker.execution.burial_brake import BURIALS_IN_A_ROW

pytest_plugins = ["tests.support.worker_fixtures"]

AGAIN_SECONDS = 60.0
"""Until everything that waited is done: pauses of up to 10 s, and a busy machine."""

QUEUE_LENGTH = 20
CONCURRENCY = 4
CLAIM = f"{REST}wearon_worker_claim"


@pytest.fixture(scope="module")
def proxy(stage: Stage) -> Iterator[PlatformProxy]:
    with PlatformProxy(stage.world.supabase.url) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def worker(stage: Stage, proxy: PlatformProxy) -> Worker:
    """One worker for the whole module: it must survive everything."""
    worker = stage.worker(SUPABASE_URL=proxy.url, WORKER_CONCURRENCY=str(CONCURRENCY), PLATFORM_PAUSE_SECONDS="2")
    worker.start()
    return worker


@pytest.fixture(autouse=True)
def _all_is_well_afterwards(stage: Stage, worker: Worker, proxy: PlatformProxy) -> Iterator[None]:
    pid = worker.pid
    yield
    proxy.forward_all()
    [row] = stage.wait_for(stage.submit("as if nothing had been"), timeout_seconds=AGAIN_SECONDS)
    assert row.status is SessionStatus.COMPLETED
    wait_until(lambda: worker.health()["status"] == "ok", "the health check tells that all is well")
    wait_until(lambda: not stage.in_flight(worker.executor()), "nothing in flight")
    assert (worker.is_running, worker.pid) == (True, pid)
    assert worker.lines("run_broke") == worker.lines("unexpected_failure") == []
    assert stage.wrong_books() == []
    stage.redis.delete("wearon:tasks:dead")


def submit_many(stage: Stage, prompt: str, count: int = QUEUE_LENGTH) -> list[SessionRef]:
    return [stage.submit(f"{prompt} {number}") for number in range(count)]


def assert_all_completed(stage: Stage, sessions: list[SessionRef]) -> None:
    rows = stage.wait_for(*sessions, timeout_seconds=AGAIN_SECONDS)
    assert [row.status for row in rows] == [SessionStatus.COMPLETED] * len(sessions)


def is_degraded(worker: Worker, part: str) -> bool:
    health = worker.health()
    return health["status"] == "degraded" and part in health["degraded"]


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
    proxy.answer(EVERYTHING, page(404, "Nothing here"))
    wait_until(lambda: is_degraded(worker, "database"), "the health check tells")
    down = worker.wait_for_line("part_down", part="database")
    assert down["level"] == "error"
    assert "HTTP 404 (404 Nothing here)" in down["reason"]


def test_a_database_that_takes_no_writes_buries_nothing(stage: Stage, worker: Worker) -> None:
    stage.platform.execute("SET default_transaction_read_only = off")  # the app's own connection goes elsewhere
    with read_only_database(stage.world.postgres.dsn):
        sessions = submit_many(stage, "read-only")
        worker.wait_for_line("platform_away", operation="claim", reason="25006")
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


@pytest.mark.parametrize("fault", ["no bucket", "wrong type", "size limit"])
def test_while_storage_refuses_for_good_no_picture_is_bought_and_those_in_hand_are_kept(
    stage: Stage, worker: Worker, proxy: PlatformProxy, fault: str
) -> None:
    dsn = stage.world.postgres.dsn
    refusing, words = {
        "no bucket": (bucket_renamed(dsn), "Bucket not found"),
        "wrong type": (bucket_limited(dsn, types=["image/png"]), "image/jpeg is not supported"),
        "size limit": (bucket_limited(dsn, size_bytes=100), "exceeded the maximum allowed size"),
    }[fault]
    before = len(worker.lines("storage_refuses_pictures"))
    with refusing:
        in_hand = submit_many(stage, f"{fault}: bought", CONCURRENCY - 1)
        refused = worker.wait_for_line("storage_refuses_pictures", count=before + 1)
        later = submit_many(stage, f"{fault}: not yet")
        wait_until(lambda: is_degraded(worker, "storage"), "the health check tells")
        worker.wait_for_line("storage_still_refuses")
        bought = len(stage.provider_requests(f"{fault}: "))
    assert (refused["level"], words in refused["detail"]) == ("error", True)
    assert_all_completed(stage, [*in_hand, *later])
    assert bought <= CONCURRENCY
    assert len(stage.provider_requests(f"{fault}: bought")) == len(in_hand), "no picture was bought twice"


@pytest.mark.parametrize("status", [401, 402, 403])
def test_while_storage_lets_nobody_in_what_others_settled_is_let_go(
    stage: Stage, worker: Worker, proxy: PlatformProxy, status: int
) -> None:
    before = len(worker.lines("settled_by_others_while_waiting"))
    proxy.answer(UPLOAD, storage_error(status, "Unauthorized", "not now"))
    settled = submit_many(stage, f"HTTP {status}", CONCURRENCY - 1)
    wait_until(lambda: is_degraded(worker, "storage"), "the health check tells")
    wait_until(lambda: len(stage.in_flight(worker.executor())) == len(settled), "all wait")
    waiting = submit_many(stage, f"not taken {status}")
    for session in settled:
        with psycopg.connect(stage.world.postgres.dsn, options="-c search_path=public") as connection:
            assert give_up(connection, session)
    wait_until(
        lambda: len(worker.lines("settled_by_others_while_waiting")) == before + len(settled),
        "they are let go",
        LOOK_SECONDS + AGAIN_SECONDS,
    )
    assert stage.provider_requests(f"not taken {status}") == []
    proxy.forward_all()
    assert_all_completed(stage, waiting)


@pytest.mark.parametrize(
    "reply",
    [storage_error(423, "ResourceLocked", "locked"), storage_error(409, "TransactionError", "again"), page(502)],
    ids=["locked", "transaction", "gateway"],
)
def test_a_paid_picture_is_offered_again_after_a_passing_refusal(
    stage: Stage, worker: Worker, proxy: PlatformProxy, *, reply: Reply
) -> None:
    proxy.answer(UPLOAD, reply, times=3)
    session = stage.submit("a passing refusal")
    assert_all_completed(stage, [session])
    assert stage.claim(session)["attempt"] == 1
