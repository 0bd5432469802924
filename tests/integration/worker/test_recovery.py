"""Recovery rounds over the real Redis and database: who is settled, who is run again, and who is left alone.

No worker runs here; the rounds are called one by one.
"""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
import redis
import structlog
from structlog.testing import capture_logs

from config.settings import Settings
from models.failures import PlatformFailure
from models.generation import Channel, SessionRef, SessionStatus
from sandbox.platform.producer import QUEUE_KEY, StoreMode
from sandbox.servers.processes import LOOPBACK, free_port
from services.platform.supabase_client import SupabaseClient
from services.queue.connection import connect
from services.queue.task_queue import Element, TaskQueue, TransferLimits
from tests.support.platform_faults import shoppers_balances_refused
from tests.support.worker import QUICK_SETTINGS, Stage
from worker.recovery.reaper import FORGET_LIMIT, FORGET_PAUSE_SECONDS, PAGE_SIZE, SURELY_GONE_SECONDS, Reaper
from worker.samples import RecordSample, Sample, SettlementRefused
from worker.settlement.policy import ATTEMPT_LIMIT
from worker.settlement.settle import Settlement

pytest_plugins = ["tests.support.worker_fixtures"]

LEASE_SECONDS = 600.0
MANY = 5_000
TASK_LOST = "Something went wrong while making your picture. Please try again. You have not been charged."


@pytest.fixture(scope="module")
def store(stage: Stage) -> Iterator[SupabaseClient]:
    """The database as the worker sees it."""
    store = SupabaseClient(stage.world.supabase.url, stage.world.supabase.service_role_key)
    yield store
    store.close()


@pytest.fixture(autouse=True)
def _empty_platform(stage: Stage) -> Iterator[None]:
    stage.platform.wipe()
    stage.redis.flushall()
    with stage.database_clock() as clock:
        clock.set(clock.NOON)  # sessions of an hour would not be settled around the real midnight
        yield


def new_reaper(
    stage: Stage,
    store: SupabaseClient,
    *,
    queue: TaskQueue | None = None,
    now: Callable[[], float] = time.monotonic,
    forget_limit: int = FORGET_LIMIT,
    record: RecordSample = lambda _: None,
) -> Reaper:
    """The reaper of a worker that has been alive for long enough to judge others."""
    settings = {**stage.world.settings(**QUICK_SETTINGS), "WORKER_LEASE_SECONDS": str(LEASE_SECONDS)}
    executor = new_executor(stage, store)
    client = connect(stage.world.redis.url)
    return Reaper(
        Settings.model_validate({name.lower(): value for name, value in settings.items()}),
        queue=queue or TaskQueue(client),
        broker=client,
        store=store,
        settlement=Settlement(store, lambda _: None),
        record=record,
        current_executor=lambda: executor,
        now=now,
        forget_limit=forget_limit,
    )


def new_executor(stage: Stage, store: SupabaseClient, *, silent_for_seconds: float = 0) -> UUID:
    """An executor whose lease has been renewed without a gap for an hour, the last time so long ago."""
    executor = uuid4()
    store.heartbeat(executor, host="test", lease_seconds=LEASE_SECONDS)
    stage.platform.execute(
        "UPDATE wearon_worker.executors SET continuous_since = now() - interval '1 hour',"
        " expires_at = expires_at - make_interval(secs => %s) WHERE executor = %s",
        silent_for_seconds,
        executor,
    )
    return executor


def age(stage: Stage) -> None:
    """Make every session an hour old: older than any grace."""
    stage.platform.execute("UPDATE generation_sessions SET created_at = created_at - interval '1 hour'")
    stage.platform.execute("UPDATE store_generation_sessions SET created_at = created_at - interval '1 hour'")


def rounds(reaper: Reaper, count: int = 3) -> None:
    """A few rounds: a session is lost only when it was missed in two."""
    for _ in range(count):
        reaper.round()


def status_of(stage: Stage, session: SessionRef) -> SessionStatus:
    """How the platform sees a session."""
    return stage.platform.session(session).status


def test_a_session_without_a_task_or_an_owner_is_failed_and_refunded_in_every_way_it_was_charged(
    stage: Stage, store: SupabaseClient
) -> None:
    legacy = stage.submit(push=False)
    stage.platform.set_status(legacy, SessionStatus.PENDING)
    lost = [legacy, stage.submit(push=False)]
    lost += [stage.platform.submit_b2b([stage.photo], mode=mode, push=False).session for mode in StoreMode]
    age(stage)
    rounds(new_reaper(stage, store))
    rows = [stage.platform.session(session) for session in lost]
    assert {(row.status, row.error_message) for row in rows} == {(SessionStatus.FAILED, TASK_LOST)}
    assert [stage.refund(session)["kind"] for session in lost] == [
        *("user_credit", "user_credit"),
        *("store_credit", "shopper_credit", "store_overage"),
    ]
    assert stage.wrong_books() == []


def test_what_is_logged_about_a_lost_session_carries_its_ids(stage: Stage, store: SupabaseClient) -> None:
    """The request id is the row's; rows of users have none."""
    of_user = stage.platform.submit_b2c([stage.photo], push=False)
    of_store = stage.platform.submit_b2b([stage.photo], push=False)
    age(stage)
    with capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        rounds(new_reaper(stage, store))
    for submitted, request_id in ((of_user, None), (of_store, of_store.request_id)):
        mine = [line for line in lines if line.get("session_id") == str(submitted.session.session_id)]
        assert [(line["event"], line.get("request_id"), line["channel"]) for line in mine] == [
            ("session_failed", request_id, submitted.session.channel),
            ("lost_session_settled", request_id, submitted.session.channel),
        ]


@pytest.mark.parametrize("code", ["23514", "42501", "42883", "57014"])
def test_a_lost_session_that_the_database_refuses_to_settle_is_told_each_time_and_holds_up_no_other(
    stage: Stage, store: SupabaseClient, code: str
) -> None:
    refused = stage.platform.submit_b2b([stage.photo], mode=StoreMode.RESELL, push=False).session
    behind = [stage.submit(push=False) for _ in range(3)]
    age(stage)
    measured: list[Sample] = []
    reaper = new_reaper(stage, store, record=measured.append)
    with (
        shoppers_balances_refused(stage.platform, code),
        capture_logs([structlog.contextvars.merge_contextvars]) as lines,
    ):
        rounds(reaper, count=4)
    told = [line for line in lines if line["event"] == "lost_session_not_settled"]
    assert {(line["log_level"], line["reason"], line["session_id"]) for line in told} == {
        ("error", code, str(refused.session_id))
    }
    assert measured.count(SettlementRefused()) == len(told) >= 2
    assert status_of(stage, refused) is SessionStatus.QUEUED
    assert {status_of(stage, session) for session in behind} == {SessionStatus.FAILED}
    rounds(reaper)
    assert status_of(stage, refused) is SessionStatus.FAILED
    assert stage.wrong_books() == []


def test_a_database_that_takes_no_writes_ends_the_round(stage: Stage, store: SupabaseClient) -> None:
    lost = stage.platform.submit_b2b([stage.photo], mode=StoreMode.RESELL, push=False).session
    age(stage)
    measured: list[Sample] = []
    reaper = new_reaper(stage, store, record=measured.append)
    reaper.round()
    with shoppers_balances_refused(stage.platform, "25006"), pytest.raises(PlatformFailure, match="25006"):
        reaper.round()
    assert measured == []
    assert status_of(stage, lost) is SessionStatus.QUEUED


def test_many_workers_that_find_the_same_lost_sessions_refund_each_once(stage: Stage, store: SupabaseClient) -> None:
    lost = [stage.submit(push=False) for _ in range(10)]
    age(stage)
    reapers = [new_reaper(stage, store) for _ in range(4)]
    with ThreadPoolExecutor(len(reapers)) as pool:
        list(pool.map(rounds, reapers))
    assert {status_of(stage, session) for session in lost} == {SessionStatus.FAILED}
    assert stage.wrong_books() == []


def test_a_row_whose_push_may_still_be_on_its_way_is_left_alone(stage: Stage, store: SupabaseClient) -> None:
    fresh = stage.submit(push=False)
    rounds(new_reaper(stage, store))
    assert status_of(stage, fresh) is SessionStatus.QUEUED
    assert stage.refund(fresh) == {}


def test_none_of_thousands_of_waiting_tasks_is_refunded_and_the_one_lost_among_them_is_found(
    stage: Stage, store: SupabaseClient
) -> None:
    template = json.loads(stage.platform.submit_b2c([stage.photo], push=False).payload)
    stage.platform.wipe()
    user = stage.platform.new_user()
    stage.platform.execute(
        "INSERT INTO generation_sessions (user_id, created_at)"
        " SELECT %s, now() - interval '2 hours' + n * interval '1 second' FROM generate_series(1, %s) n",
        user,
        MANY,
    )
    session_ids = stage.platform.value("SELECT jsonb_agg(id ORDER BY created_at) FROM generation_sessions")
    lost = SessionRef(Channel.B2C, UUID(session_ids.pop(MANY // 2)))
    stage.redis.lpush(QUEUE_KEY, *(json.dumps({**template, "session_id": each}) for each in session_ids))

    rounds(new_reaper(stage, store), count=MANY // PAGE_SIZE + 2)
    failed = stage.platform.value("SELECT jsonb_agg(id) FROM generation_sessions WHERE status = 'failed'")
    assert failed == [str(lost.session_id)]
    assert stage.refund(lost)["reason"] == "task_lost"
    assert stage.platform.value("SELECT count(*) FROM wearon_worker.refunds") == 1


def test_what_a_living_worker_holds_is_not_touched_wherever_it_stands(stage: Stage, store: SupabaseClient) -> None:
    """Claimed and running; taken but not claimed yet; handed back for ten seconds after a 429."""
    queue, owner = TaskQueue(connect(stage.world.redis.url)), new_executor(stage, store)
    queue.register(owner)
    running, taken, postponed = stage.submit(push=False), stage.submit(), stage.submit()
    for session in (running, postponed):
        store.claim(session, executor=owner, fence=UUID(int=1), attempt_limit=ATTEMPT_LIMIT)
    assert queue.take(owner) is not None
    assert queue.take(owner) is not None
    store.release(postponed, fence=UUID(int=1), rate_limited=True)
    age(stage)
    rounds(new_reaper(stage, store))
    assert status_of(stage, running) is SessionStatus.PROCESSING
    assert {status_of(stage, session) for session in (taken, postponed)} == {SessionStatus.QUEUED}
    assert len(stage.in_flight(owner)) == 2
    assert stage.claim(running)["executor"] == str(owner)


def test_what_a_dead_worker_held_goes_back_to_the_head_of_the_queue_in_its_old_order(
    stage: Stage, store: SupabaseClient
) -> None:
    queue = TaskQueue(connect(stage.world.redis.url))
    dead = new_executor(stage, store, silent_for_seconds=LEASE_SECONDS + 1)
    queue.register(dead)
    held = [stage.submit(f"held {number}") for number in range(3)]
    for _ in held:
        assert queue.take(dead) is not None
    store.claim(held[0], executor=dead, fence=UUID(int=1), attempt_limit=ATTEMPT_LIMIT)
    later = stage.submit("pushed later")
    age(stage)
    rounds(new_reaper(stage, store))
    assert stage.waiting_sessions() == [str(session.session_id) for session in (*held, later)]
    assert {status_of(stage, session) for session in held} == {SessionStatus.QUEUED}
    assert (stage.claim(held[0])["executor"], stage.claim(held[0])["attempt"]) == (None, 1)


def test_what_a_dead_worker_takes_soon_after_goes_back_and_only_then_is_it_forgotten(
    stage: Stage, store: SupabaseClient
) -> None:
    """It was only frozen: it moves a task before a heartbeat tells it. If it registers again, this begins anew."""
    now = [0.0]
    reaper = new_reaper(stage, store, now=lambda: now[0])
    queue = TaskQueue(connect(stage.world.redis.url))
    frozen = new_executor(stage, store, silent_for_seconds=LEASE_SECONDS + 1)
    task = stage.submit()
    for _ in range(2):
        queue.register(frozen)
        reaper.round()
        now[0] += SURELY_GONE_SECONDS - 1
        assert queue.take(frozen) is not None
        reaper.round()
        assert stage.waiting_sessions() == [str(task.session_id)]
        assert frozen in queue.executors()
        now[0] += 2
        reaper.round()
        assert frozen not in queue.executors()


class TakenMeanwhile(TaskQueue):
    """A queue whose tasks a worker takes after one list was read and before the next is."""

    def __init__(self, client: redis.Redis, owner: UUID) -> None:
        super().__init__(client)
        self.owner = owner

    def waiting(self, limits: TransferLimits) -> Iterator[list[Element]]:
        """The queue, and then it is empty."""
        yield from super().waiting(limits)
        self._take_all()

    def in_flight(self, executor: UUID, limits: TransferLimits) -> Iterator[list[Element]]:
        """What an executor has, and then its owner has more."""
        yield from super().in_flight(executor, limits)
        self._take_all()

    def _take_all(self) -> None:
        while self.length():
            self.take(self.owner)


def test_a_task_that_is_taken_while_its_session_is_looked_for_is_not_lost(stage: Stage, store: SupabaseClient) -> None:
    owner = new_executor(stage, store)
    queue = TakenMeanwhile(connect(stage.world.redis.url), owner)
    queue.register(owner)
    taken, lost = stage.submit(), stage.submit(push=False)
    age(stage)
    reaper = new_reaper(stage, store, queue=queue)
    for _ in range(2):
        reaper.round()
        assert queue.hand_back(owner) == 1, "it was taken during the round"
    assert status_of(stage, taken) is SessionStatus.QUEUED
    assert status_of(stage, lost) is SessionStatus.FAILED, "it was looked for, too"


def test_nothing_is_decided_while_redis_cannot_be_asked(stage: Stage, store: SupabaseClient) -> None:
    lost = stage.submit(push=False)
    age(stage)
    away = TaskQueue(connect(f"redis://{LOOPBACK}:{free_port()}/0"))
    reaper = new_reaper(stage, store, queue=away)
    for _ in range(3):
        with pytest.raises(redis.ConnectionError):
            reaper.round()
    assert status_of(stage, lost) is SessionStatus.QUEUED


def test_a_round_deletes_what_nobody_needs_any_more_and_the_next_within_the_hour_does_not_look(
    stage: Stage, store: SupabaseClient
) -> None:
    now = [0.0]
    reaper = new_reaper(stage, store, now=lambda: now[0], forget_limit=2)
    old = "UPDATE wearon_worker.executors SET dead_at = now() - interval '8 days' WHERE executor = ANY(%s)"
    count = "SELECT count(*) FROM wearon_worker.executors WHERE dead_at < now() - interval '7 days'"

    def five_old_executors() -> None:
        stage.platform.execute(old, [new_executor(stage, store) for _ in range(5)])

    five_old_executors()
    left = []
    for _ in range(4):
        reaper.round()
        left.append(stage.platform.value(count))
    assert left == [3, 1, 0, 0], "a few in each round, until there are no more"
    five_old_executors()
    now[0] += FORGET_PAUSE_SECONDS - 1
    reaper.round()
    assert stage.platform.value(count) == 5
    now[0] += 1
    reaper.round()
    assert stage.platform.value(count) == 3
