"""Settling against the real Supabase API: whatever goes away while a result or a refund lands, it lands once."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from queue import Queue
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
import pytest
import structlog
from structlog.testing import capture_logs

from models.failures import PlatformRefused, PlatformUnavailable
from models.generation import Channel, GeneratedImage, SessionRef, SessionStatus, Usage
from sandbox.postgres_local import LocalPostgres
from sandbox.producer import Producer, Submitted
from sandbox.supabase_local import BUCKET, LocalSupabase
from services.supabase_client import SupabaseClient
from supabase import create_client
from tests.support.ledger_audit import ledger_faults, platform_expires
from worker.measurements import ChargeUndone, GenerationEnded, Measurement
from worker.policy import Fail
from worker.settlement import FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS, Claim, Settlement, until_it_lands

JPEG: Final = b"\xff\xd8\xff\xe0 as far as Storage cares"
IMAGE: Final = GeneratedImage(JPEG, "gpt-image-1.5", Usage(50, 3_150, 1_056), Decimal("0.042251"))
SORRY: Final = Fail("We could not make this picture. You have not been charged.", "moderated")
ELAPSED_SECONDS: Final = 21.5
EVENT_TIMEOUT_SECONDS: Final = 60.0


class Settling:
    """A settlement, what it measured, and the executor it settles for."""

    def __init__(self, store: SupabaseClient) -> None:
        self.measured: list[Measurement] = []
        self.settlement = Settlement(store, self.measured.append)
        self.executor = uuid4()
        store.heartbeat(self.executor, host="test", lease_seconds=3600)

    def claimed(self, session: SessionRef) -> Claim:
        """A claim of ours."""
        claim = Claim(session, uuid4())
        assert self.settlement.claim(claim, self.executor, lambda: False).outcome == "claimed"
        return claim

    def complete(self, claim: Claim, path: str = "generated/owner/session.jpg") -> str:
        return self.settlement.complete(claim, IMAGE, path, lambda: ELAPSED_SECONDS)

    def fail(self, claim: Claim) -> str:
        return self.settlement.fail(claim, SORRY)


@pytest.fixture
def settling(producer: Producer, supabase: LocalSupabase) -> Iterator[Settling]:
    client = SupabaseClient(supabase.url, supabase.service_role_key)
    yield Settling(client)
    client.close()


def submit(producer: Producer, channel: Channel) -> Submitted:
    return (producer.submit_b2c if channel is Channel.B2C else producer.submit_b2b)([], push=False)


def refund_count(producer: Producer) -> int:
    return sum(entry.type == "refund" for entry in producer.ledger())


def assert_credits_add_up(postgres: LocalPostgres) -> None:
    with psycopg.connect(postgres.dsn, options="-c search_path=public") as connection:
        assert ledger_faults(connection) == []


@contextmanager
def each_retry() -> Iterator["Queue[dict[str, Any]]"]:
    """Every time a call has to be repeated, the log event about it arrives here."""
    retries: Queue[dict[str, Any]] = Queue()

    def note(_: object, __: str, event: Any) -> Any:
        if event["event"] == "platform_away":
            retries.put(event)
        return event

    before = structlog.get_config()["processors"]
    structlog.configure(processors=[note, *before])
    try:
        yield retries
    finally:
        structlog.configure(processors=before)


@contextmanager
def held_up(postgres: LocalPostgres, session: SessionRef) -> Iterator[Callable[[], None]]:
    """Lock the session, so that the next call about it hangs inside the database; call what you get to let it go on."""
    table = "generation_sessions" if session.channel is Channel.B2C else "store_generation_sessions"
    with psycopg.connect(postgres.dsn) as holder:
        holder.execute(f"SELECT FROM public.{table} WHERE id = %s FOR UPDATE".encode(), [session.session_id])
        yield holder.rollback


def wait_until_it_hangs(call: "Future[Any]", producer: Producer) -> None:
    """Until the call waits for the lock; asking the database is the pause between two looks."""
    deadline = time.monotonic() + EVENT_TIMEOUT_SECONDS
    while not producer.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
        if call.done():
            raise AssertionError("the call ended without waiting") from call.exception()
        assert time.monotonic() < deadline, "no call hangs in the database"


both_channels = pytest.mark.parametrize("channel", list(Channel), ids=lambda channel: channel.value)


class TestSupabaseDies:
    """SIGKILL to the API while the call is inside the database: whether it took effect, nobody can tell."""

    def settle_across_a_kill(
        self,
        settle: Callable[[], Any],
        session: SessionRef,
        producer: Producer,
        postgres: LocalPostgres,
        supabase: LocalSupabase,
    ) -> Any:
        with ThreadPoolExecutor(1) as pool, each_retry() as retries:
            with held_up(postgres, session) as let_go:
                settling = pool.submit(settle)
                wait_until_it_hangs(settling, producer)
                supabase.kill()
                retries.get(timeout=EVENT_TIMEOUT_SECONDS)
                let_go()
            supabase.start()
            return settling.result(EVENT_TIMEOUT_SECONDS)

    @both_channels
    def test_while_a_refund_is_under_way_and_it_is_given_once(
        self, settling: Settling, producer: Producer, postgres: LocalPostgres, supabase: LocalSupabase, channel: Channel
    ) -> None:
        submitted = submit(producer, channel)
        claim = settling.claimed(submitted.session)
        outcome = self.settle_across_a_kill(
            lambda: settling.fail(claim), submitted.session, producer, postgres, supabase
        )
        assert outcome == "failed"
        row = producer.session(submitted.session)
        assert (row.status, row.error_message) == (SessionStatus.FAILED, SORRY.message)
        assert refund_count(producer) == 1
        assert_credits_add_up(postgres)
        assert [type(each) for each in settling.measured] == [GenerationEnded, ChargeUndone], "counted once"

    @both_channels
    def test_while_a_completion_is_under_way_and_the_picture_is_delivered(
        self, settling: Settling, producer: Producer, postgres: LocalPostgres, supabase: LocalSupabase, channel: Channel
    ) -> None:
        submitted = submit(producer, channel)
        claim = settling.claimed(submitted.session)
        path = f"generated/{submitted.owner_id}/{submitted.session.session_id}.jpg"
        outcome = self.settle_across_a_kill(
            lambda: settling.complete(claim, path), submitted.session, producer, postgres, supabase
        )
        assert outcome == "completed"
        row = producer.session(submitted.session)
        assert (row.status, row.processing_time_ms) == (SessionStatus.COMPLETED, ELAPSED_SECONDS * 1_000)
        assert refund_count(producer) == 0
        assert_credits_add_up(postgres)
        stored = create_client(supabase.url, supabase.service_role_key).storage.from_(BUCKET).download(path)
        assert stored == JPEG
        assert settling.measured == [GenerationEnded("completed")]


class TestSupabaseIsAway:
    """Down before the call begins; each state change waits for it to come back."""

    @pytest.mark.parametrize(
        ("settle", "status", "refunds"),
        [
            pytest.param(Settling.complete, SessionStatus.COMPLETED, 0, id="a completion"),
            pytest.param(Settling.fail, SessionStatus.FAILED, 1, id="a failure"),
            pytest.param(
                lambda settling, claim: settling.settlement.release(claim, rate_limited=True),
                SessionStatus.QUEUED,
                0,
                id="a release",
            ),
            pytest.param(
                lambda settling, claim: settling.settlement.claim(claim, settling.executor, lambda: False),
                SessionStatus.PROCESSING,
                0,
                id="a claim",
            ),
        ],
    )
    def test_and_the_change_lands_when_it_comes_back(
        self,
        settling: Settling,
        producer: Producer,
        postgres: LocalPostgres,
        supabase: LocalSupabase,
        settle: Callable[[Settling, Claim], Any],
        *,
        status: SessionStatus,
        refunds: int,
    ) -> None:
        session = submit(producer, Channel.B2C).session
        claim = settling.claimed(session)
        supabase.kill()
        with ThreadPoolExecutor(1) as pool, each_retry() as retries:
            pending: Future[Any] = pool.submit(settle, settling, claim)
            for _ in range(3):
                retry = retries.get(timeout=EVENT_TIMEOUT_SECONDS)
            assert not pending.done()
            supabase.start()
            pending.result(EVENT_TIMEOUT_SECONDS)
        assert retry["attempt"] == 3
        assert producer.session(session).status is status
        assert refund_count(producer) == refunds
        assert_credits_add_up(postgres)

    def test_and_what_the_platform_did_meanwhile_stands(
        self, settling: Settling, producer: Producer, postgres: LocalPostgres, supabase: LocalSupabase
    ) -> None:
        session = submit(producer, Channel.B2C).session
        claim = settling.claimed(session)
        supabase.kill()
        with ThreadPoolExecutor(1) as pool, each_retry() as retries:
            pending = pool.submit(settling.complete, claim)
            retries.get(timeout=EVENT_TIMEOUT_SECONDS)
            with psycopg.connect(postgres.dsn, options="-c search_path=public") as connection:
                assert platform_expires(connection, session)
            supabase.start()
            assert pending.result(EVENT_TIMEOUT_SECONDS) == "settled"
        assert producer.session(session).status is SessionStatus.FAILED
        assert refund_count(producer) == 1
        assert settling.measured == [], "neither a success nor a failure of ours"
        assert_credits_add_up(postgres)

    def test_and_recovery_does_not_wait_because_it_comes_round_again(
        self, settling: Settling, producer: Producer, supabase: LocalSupabase
    ) -> None:
        session = submit(producer, Channel.B2B).session
        supabase.kill()
        with pytest.raises(PlatformUnavailable):
            settling.settlement.fail_unowned(session, SORRY)
        assert settling.measured == []
        supabase.start()
        assert settling.settlement.fail_unowned(session, SORRY).outcome == "failed"
        assert refund_count(producer) == 1


class TestOutcomes:
    def test_a_run_that_lost_its_claim_settles_nothing_and_counts_nothing(
        self, settling: Settling, producer: Producer
    ) -> None:
        session = submit(producer, Channel.B2B).session
        settling.claimed(session)
        stranger = Claim(session, UUID(int=1))
        with capture_logs() as logs:
            assert settling.complete(stranger) == "lost"
            assert settling.fail(stranger) == "lost"
        assert [(entry["event"], entry["outcome"]) for entry in logs] == [
            ("completion_came_too_late", "lost"),
            ("failure_not_recorded", "lost"),
        ]
        assert producer.session(session).status is SessionStatus.PROCESSING
        assert settling.measured == []

    def test_a_failure_is_logged_and_counted_with_its_reason_and_its_refund(
        self, settling: Settling, producer: Producer
    ) -> None:
        claim = settling.claimed(producer.submit_b2c([], credits_used=3, push=False).session)
        with capture_logs() as logs:
            settling.fail(claim)
        assert logs == [
            {
                "event": "session_failed",
                "log_level": "info",
                "reason": "moderated",
                "refund": "user_credit",
                "refunded_credits": 3,
            }
        ]
        assert settling.measured == [
            GenerationEnded("failed", "moderated"),
            ChargeUndone("user_credit"),
        ]

    def test_no_link_to_the_picture_gets_into_the_log(self, settling: Settling, producer: Producer) -> None:
        claim = settling.claimed(submit(producer, Channel.B2C).session)
        with capture_logs() as logs:
            settling.complete(claim)
        url = producer.session(claim.session).generated_image_url
        assert url is not None
        assert "token=" in url
        assert "token" not in str([entry for entry in logs if entry["event"] != "session_completed"])
        assert url.partition("?")[2] not in str(logs)

    def test_what_the_database_refuses_is_not_repeated_and_leaves_the_session_to_recovery(
        self, settling: Settling, producer: Producer
    ) -> None:
        claim = settling.claimed(submit(producer, Channel.B2C).session)
        producer.execute("DELETE FROM user_credits")
        with pytest.raises(PlatformRefused):
            settling.fail(claim)
        assert producer.session(claim.session).status is SessionStatus.PROCESSING
        assert settling.measured == []


class TestUntilItLands:
    def test_pauses_grow_to_a_limit_and_never_agree_with_those_of_others(self) -> None:
        pauses: list[float] = []
        answers = iter([*[PlatformUnavailable("fail", "away")] * 12, None])

        def call() -> str:
            error = next(answers)
            if error is not None:
                raise error
            return "landed"

        with capture_logs() as logs:
            assert until_it_lands("fail", call, pauses.append) == "landed"
        limits = [min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2**attempt) for attempt in range(12)]
        assert limits[-1] == LONGEST_RETRY_SECONDS
        assert all(limit / 2 <= pause <= limit for pause, limit in zip(pauses, limits, strict=True))
        assert len({pause / limit for pause, limit in zip(pauses, limits, strict=True)}) > 1, "jitter"
        assert [entry["attempt"] for entry in logs] == list(range(1, 13))

    def test_a_refusal_is_passed_on_at_once(self) -> None:
        def refuse() -> None:
            raise PlatformRefused("fail", "23514")

        with pytest.raises(PlatformRefused, match="23514"):
            until_it_lands("fail", refuse, lambda _: pytest.fail("waited"))
