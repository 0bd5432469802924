"""Settling against the real Supabase API: whatever goes away while a result or a refund lands, it lands once."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from queue import Queue
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
import pytest
import structlog
from structlog.testing import capture_logs

from models.failures import NoLongerWanted, PlatformRefused, PlatformUnavailable, StorageRefused
from models.generation import Channel, GeneratedImage, SessionRef, SessionStatus, Usage
from sandbox.platform.producer import Producer, Submitted
from sandbox.servers.postgres import LocalPostgres
from sandbox.servers.supabase import BUCKET, LocalSupabase
from services.platform.storage_gate import LOOK_SECONDS
from services.platform.supabase_client import SupabaseClient
from supabase import create_client
from tests.support.ledger_audit import ledger_faults
from tests.support.platform_acts import give_up
from tests.support.platform_faults import bucket_renamed, frozen_balances
from tests.support.platform_proxy import (
    REST,
    SIGN,
    UPLOAD,
    PlatformProxy,
    Reply,
    database_error,
    page,
    redirect,
    said,
    storage_error,
)
from worker.samples import ChargeUndone, GenerationEnded, Sample
from worker.settlement.landing import FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS, until_it_lands
from worker.settlement.policy import Fail
from worker.settlement.settle import Claim, Settlement

JPEG: Final = b"\xff\xd8\xff\xe0 as far as Storage cares"
IMAGE: Final = GeneratedImage(JPEG, "gpt-image-1.5", Usage(50, 3_150, 1_056), Decimal("0.042251"))
SORRY: Final = Fail("We could not make this picture. You have not been charged.", "moderated")
ELAPSED_SECONDS: Final = 21.5
EVENT_TIMEOUT_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Clock:
    """A task's clock that stands."""

    left_seconds: float

    def elapsed_seconds(self) -> float:
        return ELAPSED_SECONDS

    def remaining_seconds(self) -> float:
        return self.left_seconds


class Settling:
    """A settlement, what it measured, and the executor it settles for."""

    def __init__(self, store: SupabaseClient, look_seconds: float = LOOK_SECONDS) -> None:
        self.measured: list[Sample] = []
        self.stopping = threading.Event()
        self.settlement = Settlement(
            store, self.measured.append, cancelled=self.stopping.is_set, look_seconds=look_seconds
        )
        self.executor = uuid4()
        store.heartbeat(self.executor, host="test", lease_seconds=3600)

    def claimed(self, session: SessionRef) -> Claim:
        """A claim of ours."""
        claim = Claim(session, uuid4())
        assert self.settlement.claim(claim, self.executor).outcome == "claimed"
        return claim

    def complete(self, claim: Claim, path: str = "generated/owner/session.jpg", left_seconds: float = 60.0) -> str:
        return self.settlement.complete(
            claim,
            IMAGE,
            path,
            Clock(left_seconds),
            still_ours=lambda: self.settlement.is_still_ours(claim, self.executor),
        )

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
        assert settling.measured == [GenerationEnded(channel, "completed")]


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
                lambda settling, claim: settling.settlement.claim(claim, settling.executor),
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
                assert give_up(connection, session)
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
        assert [(entry["event"], entry.get("outcome")) for entry in logs] == [
            ("result_stored", None),
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
            GenerationEnded(Channel.B2C, "failed", "moderated"),
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
        with frozen_balances(producer), pytest.raises(PlatformRefused):
            settling.fail(claim)
        assert producer.session(claim.session).status is SessionStatus.PROCESSING
        assert settling.measured == []


class TestStorageSaysNo:
    """A picture in hand is paid for: it is offered again and again."""

    @pytest.fixture
    def proxy(self, supabase: LocalSupabase) -> Iterator[PlatformProxy]:
        with PlatformProxy(supabase.url) as gateway:
            yield gateway

    @pytest.fixture
    def settling(self, producer: Producer, supabase: LocalSupabase, proxy: PlatformProxy) -> Iterator[Settling]:
        client = SupabaseClient(proxy.url, supabase.service_role_key)
        yield Settling(client)
        client.close()

    @pytest.fixture
    def looking(self, producer: Producer, supabase: LocalSupabase, proxy: PlatformProxy) -> Iterator[Settling]:
        """Looks before every offer whether the session is still ours."""
        client = SupabaseClient(proxy.url, supabase.service_role_key)
        yield Settling(client, look_seconds=0)
        client.close()

    @pytest.mark.parametrize(
        "reply",
        [
            storage_error(423, "ResourceLocked", "The resource is locked"),
            storage_error(409, "TransactionError", "transaction failed"),
            storage_error(401, "Unauthorized", "no"),
            storage_error(402, "PaymentRequired", "exceeded"),
            storage_error(403, "Unauthorized", "new row violates row-level security policy"),
            storage_error(404, "Bucket not found", "Bucket not found"),
            storage_error(415, "invalid_mime_type", "mime type image/jpeg is not supported"),
            storage_error(413, "Payload too large", "The object exceeded the maximum allowed size"),
            page(404),
            redirect("https://elsewhere.example/"),
            said(200, message="something of its own"),
        ],
        ids=lambda reply: f"{reply.status} {reply.body[:60]!r}",
    )
    @pytest.mark.parametrize("path", [UPLOAD, SIGN], ids=["upload", "signature"])
    def test_twice_whatever_it_says_and_takes_the_picture_then(
        self, settling: Settling, producer: Producer, proxy: PlatformProxy, path: str, *, reply: Reply
    ) -> None:
        claim = settling.claimed(submit(producer, Channel.B2C).session)
        proxy.answer(path, reply, times=2)
        assert settling.complete(claim) == "completed"
        assert proxy.answered(path) == 2
        assert producer.session(claim.session).status is SessionStatus.COMPLETED

    def test_for_good_until_the_task_s_time_is_up(
        self, settling: Settling, producer: Producer, postgres: LocalPostgres
    ) -> None:
        claim = settling.claimed(submit(producer, Channel.B2C).session)
        with bucket_renamed(postgres.dsn), pytest.raises(StorageRefused, match="Bucket not found"):
            settling.complete(claim, left_seconds=0.0)
        assert settling.complete(claim) == "completed"

    def test_because_the_picture_is_there_already(
        self, settling: Settling, producer: Producer, proxy: PlatformProxy
    ) -> None:
        claim = settling.claimed(submit(producer, Channel.B2C).session)
        settling.complete(claim)
        proxy.answer(UPLOAD, storage_error(409, "Duplicate", "The resource already exists"), times=1)
        assert settling.complete(claim) == "completed"

    def test_and_a_database_that_refuses_the_result_is_asked_again_too(
        self, settling: Settling, producer: Producer, proxy: PlatformProxy
    ) -> None:
        claim = settling.claimed(submit(producer, Channel.B2C).session)
        proxy.answer(f"{REST}wearon_worker_complete", database_error(400, "P0001"), times=2)
        assert settling.complete(claim) == "completed"

    @pytest.mark.parametrize("status", [401, 402, 403, 404, 503])
    def test_while_the_session_is_settled_by_others_and_the_picture_is_let_go(
        self,
        looking: Settling,
        producer: Producer,
        postgres: LocalPostgres,
        proxy: PlatformProxy,
        *,
        status: int,
    ) -> None:
        claim = looking.claimed(submit(producer, Channel.B2C).session)
        proxy.answer(UPLOAD, storage_error(status, "Unauthorized", "no"))
        with ThreadPoolExecutor(1) as pool, each_retry() as retries:
            pending = pool.submit(looking.complete, claim)
            retries.get(timeout=EVENT_TIMEOUT_SECONDS)
            with psycopg.connect(postgres.dsn, options="-c search_path=public") as connection:
                assert give_up(connection, claim.session)
            with pytest.raises(NoLongerWanted):
                pending.result(EVENT_TIMEOUT_SECONDS)

    def test_and_a_shutdown_does_not_wait_for_a_release(
        self, producer: Producer, supabase: LocalSupabase, proxy: PlatformProxy
    ) -> None:
        store = SupabaseClient(proxy.url, supabase.service_role_key)
        settlement = Settlement(store, lambda _: None, cancelled=lambda: True)
        proxy.answer(REST, page(404))
        with capture_logs() as logs:
            settlement.release(Claim(submit(producer, Channel.B2C).session, uuid4()), rate_limited=False)
        assert [entry["event"] for entry in logs] == ["release_left_to_recovery"]


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

    def test_an_outage_of_any_length_is_survived(self) -> None:
        """Two hours came to 1024 tries, and 2 to the power of that is no floating-point number."""
        tries, waited_seconds = 0, 0.0

        def call() -> str:
            nonlocal tries
            tries += 1
            if tries <= 5_000:
                raise PlatformUnavailable("fail", "away")
            return "landed"

        def sleep(seconds: float) -> None:
            nonlocal waited_seconds
            waited_seconds += seconds

        with capture_logs():
            assert until_it_lands("fail", call, sleep) == "landed"
        assert waited_seconds > 8 * 3600

    def test_the_log_says_what_the_other_side_said(self) -> None:
        answers = iter([PlatformUnavailable("wearon_worker_fail", "HTTP 404", "404 Not Found"), None])

        def call() -> None:
            if (error := next(answers)) is not None:
                raise error

        with capture_logs() as logs:
            until_it_lands("fail", call, lambda _: None)
        assert [(entry["event"], entry["reason"], entry["detail"]) for entry in logs] == [
            ("platform_away", "HTTP 404", "404 Not Found")
        ]

    def test_a_refusal_is_passed_on_at_once(self) -> None:
        def refuse() -> None:
            raise PlatformRefused("fail", "23514")

        with pytest.raises(PlatformRefused, match="23514"):
            until_it_lands("fail", refuse, lambda _: pytest.fail("waited"))
