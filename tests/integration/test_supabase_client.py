"""The platform's client against the real API, the real database and the real storage, and against their absence."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

import services.supabase_client
from models.failures import PlatformRefused, PlatformUnavailable
from models.generation import GeneratedImage, SessionRef, SessionStatus, Usage
from sandbox.postgres_local import LocalPostgres
from sandbox.producer import Producer, StoreMode
from sandbox.supabase_local import BUCKET, LocalSupabase
from services.supabase_client import (
    SCHEMA_VERSION,
    SIGNED_URL_SECONDS,
    ClaimAnswer,
    FailAnswer,
    SupabaseClient,
    is_retryable,
)
from worker.policy import ATTEMPT_LIMIT

JPEG = b"\xff\xd8\xff\xe0 as far as Storage cares"
IMAGE = GeneratedImage(JPEG, "gpt-image-1.5", Usage(50, 3_150, 1_056), Decimal("0.042251"))
URL = "https://platform.test/storage/v1/object/sign/picture.jpg?token=secret"
LEASE_SECONDS = 45.0


@pytest.fixture
def store(producer: Producer, supabase: LocalSupabase) -> Iterator[SupabaseClient]:
    client = SupabaseClient(supabase.url, supabase.service_role_key)
    yield client
    client.close()


@pytest.fixture
def executor(store: SupabaseClient) -> UUID:
    identity = uuid4()
    assert store.heartbeat(identity, host="test", lease_seconds=LEASE_SECONDS)
    return identity


def claim(store: SupabaseClient, session: SessionRef, executor: UUID, fence: UUID) -> ClaimAnswer:
    return store.claim(session, executor=executor, fence=fence, attempt_limit=ATTEMPT_LIMIT)


def complete(store: SupabaseClient, session: SessionRef, fence: UUID) -> str:
    return store.complete(session, fence=fence, image_url=URL, processing_time_ms=21_500, image=IMAGE).outcome


class TestSessionState:
    def test_the_version_is_the_migration_s(self, store: SupabaseClient) -> None:
        assert store.schema_version() == SCHEMA_VERSION

    def test_a_function_that_is_not_there_is_waited_for(self, store: SupabaseClient) -> None:
        """An operator applies the migration; meanwhile no session is to blame."""
        with pytest.raises(PlatformUnavailable, match="PGRST202"):
            store._rpc("wearon_worker_of_tomorrow", {})

    @pytest.mark.parametrize("submit", [Producer.submit_b2c, Producer.submit_b2b])
    def test_a_session_is_claimed_and_completed_to_the_last_digit(
        self, store: SupabaseClient, producer: Producer, executor: UUID, submit: Callable[..., Any]
    ) -> None:
        submitted, fence = submit(producer, [], push=False), uuid4()
        answer = claim(store, submitted.session, executor, fence)
        assert answer == ClaimAnswer("claimed", owner_id=submitted.owner_id, attempt=1)
        assert [complete(store, submitted.session, fence) for _ in range(2)] == ["completed", "completed"]
        row = producer.session(submitted.session)
        assert (row.status, row.generated_image_url, row.processing_time_ms) == (SessionStatus.COMPLETED, URL, 21_500)
        assert (row.input_tokens, row.output_tokens, row.estimated_cost_usd) == (3_200, 1_056, Decimal("0.042251"))
        assert row.completed_at is not None

    def test_every_outcome_of_a_claim_is_understood(
        self, store: SupabaseClient, producer: Producer, executor: UUID
    ) -> None:
        session, fence = producer.submit_b2c([], push=False).session, uuid4()
        assert claim(store, SessionRef(session.channel, uuid4()), executor, fence).outcome == "missing"
        assert claim(store, session, uuid4(), fence).outcome == "executor_dead"
        assert claim(store, session, executor, fence).outcome == "claimed"
        assert claim(store, session, executor, uuid4()) == ClaimAnswer("owned", same_executor=True)
        assert store.release(session, fence=fence, rate_limited=True) == "released"
        again = claim(store, session, executor, fence)
        assert (again.outcome, again.attempt, again.rate_limited) == ("claimed", 1, 1)
        complete(store, session, fence)
        assert claim(store, session, executor, fence) == ClaimAnswer("settled", status="completed")

    @pytest.mark.parametrize(
        ("mode", "kind"),
        [
            (StoreMode.ABSORB, "store_credit"),
            (StoreMode.RESELL, "shopper_credit"),
            (StoreMode.OVERAGE, "store_overage"),
        ],
    )
    def test_a_failure_says_what_was_given_back_and_a_repeated_one_that_nothing_was(
        self, store: SupabaseClient, producer: Producer, executor: UUID, mode: StoreMode, kind: str
    ) -> None:
        submitted, fence = producer.submit_b2b([], mode=mode, credits_used=2, push=False), uuid4()
        session = submitted.session
        claim(store, session, executor, fence)
        answers = [store.fail(session, fence=fence, message="Sorry.", reason="moderated") for _ in range(2)]
        assert [(answer.outcome, answer.refund_kind, answer.refunded_credits) for answer in answers] == [
            ("failed", kind, 2),
            ("failed", "already_refunded", 0),
        ]
        assert {answer.request_id for answer in answers} == {submitted.request_id}
        assert store.fail(session, fence=None, message="Sorry.", reason="r").outcome == "settled"
        assert producer.session(session).error_message == "Sorry."

    def test_the_dead_are_named_and_their_sessions_are_found(
        self, store: SupabaseClient, producer: Producer, executor: UUID
    ) -> None:
        session, judge = producer.submit_b2c([], push=False).session, uuid4()
        claim(store, session, executor, uuid4())
        beginning = datetime(1970, 1, 1, tzinfo=UTC)

        def unowned() -> list[SessionRef]:
            found = store.unowned_sessions(grace_seconds=0, after=beginning, after_id=UUID(int=0), limit=10)
            assert all(each.created_at.tzinfo is not None for each in found)
            return [each.session for each in found]

        assert store.recover(judge, lease_seconds=LEASE_SECONDS, holders=[executor]) == []
        assert unowned() == []
        store.retire(executor)
        assert store.recover(judge, lease_seconds=LEASE_SECONDS, holders=[executor]) == [executor]
        assert unowned() == [session]
        assert store.heartbeat(executor, host="test", lease_seconds=LEASE_SECONDS) is False

    def test_pages_of_unowned_sessions_cover_all_of_them(self, store: SupabaseClient, producer: Producer) -> None:
        """The times go out as JSON and come back as an argument; losing digits on the way must not lose a session."""
        submitted = [producer.submit_b2c([], push=False).session for _ in range(7)]
        after, after_id, seen = datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0), list[SessionRef]()
        while page := store.unowned_sessions(grace_seconds=0, after=after, after_id=after_id, limit=3):
            seen += [each.session for each in page]
            after, after_id = page[-1].created_at, page[-1].session.session_id
            assert len(seen) <= len(submitted) * 2, "the same page again and again"
        assert list(dict.fromkeys(seen)) == submitted

    def test_many_threads_share_one_client(self, store: SupabaseClient, producer: Producer, executor: UUID) -> None:
        sessions = [producer.submit_b2c([], push=False).session for _ in range(16)]
        with ThreadPoolExecutor(len(sessions)) as pool:
            answers = list(pool.map(lambda session: claim(store, session, executor, uuid4()).outcome, sessions))
        assert answers == ["claimed"] * len(sessions)


class TestStorage:
    def test_a_picture_is_stored_again_over_itself_and_its_link_works_for_six_hours(
        self, store: SupabaseClient
    ) -> None:
        path = f"generated/{uuid4()}/{uuid4()}.jpg"
        for jpeg in (b"old", JPEG):
            store.store_result(path, jpeg)
        url = store.sign_result(path)
        answer = httpx.get(url, trust_env=False)
        assert (answer.content, answer.headers["content-type"]) == (JPEG, "image/jpeg")
        claims = httpx.URL(url).params["token"].split(".")[1]
        token = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        assert token["exp"] - token["iat"] == SIGNED_URL_SECONDS == 21_600

    def test_what_is_not_there_cannot_be_signed(self, store: SupabaseClient) -> None:
        with pytest.raises(PlatformRefused, match="sign_result"):
            store.sign_result(f"generated/{uuid4()}/{uuid4()}.jpg")

    def test_a_browser_s_key_stores_nothing(self, producer: Producer, supabase: LocalSupabase) -> None:
        browser = SupabaseClient(supabase.url, supabase.anon_key)
        with pytest.raises(PlatformUnavailable, match="HTTP 403"):
            browser.store_result(f"generated/{uuid4()}/x.jpg", JPEG)


class TestNo:
    @pytest.mark.parametrize("key", ["anon", "nonsense"])
    def test_a_key_without_rights_is_waited_out_because_no_session_is_to_blame(
        self, producer: Producer, supabase: LocalSupabase, key: str
    ) -> None:
        browser = SupabaseClient(supabase.url, supabase.anon_key if key == "anon" else "nonsense")
        with pytest.raises(PlatformUnavailable) as refused:
            browser.schema_version()
        assert refused.value.operation == "wearon_worker_schema_version"

    def test_a_refund_the_platform_refuses_is_a_refusal_and_leaves_the_session_open(
        self, store: SupabaseClient, producer: Producer
    ) -> None:
        session = producer.submit_b2c([], push=False).session
        producer.execute("DELETE FROM user_credits")
        with pytest.raises(PlatformRefused) as refused:
            store.fail(session, fence=None, message="Sorry.", reason="task_lost")
        assert (refused.value.operation, refused.value.reason) == ("wearon_worker_fail_v2", "P0001")
        assert producer.session(session).status is SessionStatus.QUEUED


Call = Callable[[SupabaseClient], object]
CALLS: dict[str, Call] = {
    "a function": lambda store: store.schema_version(),
    "an upload": lambda store: store.store_result("generated/a/b.jpg", JPEG),
    "a signature": lambda store: store.sign_result("generated/a/b.jpg"),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


class TestAway:
    def test_an_api_that_is_down_is_away_and_comes_back(self, store: SupabaseClient, supabase: LocalSupabase) -> None:
        CALLS["an upload"](store)
        supabase.kill()
        for call in CALLS.values():
            with pytest.raises(PlatformUnavailable):
                call(store)
        supabase.start()
        for call in CALLS.values():
            call(store)

    def test_a_database_that_is_down_is_away_and_comes_back(
        self, store: SupabaseClient, postgres: LocalPostgres
    ) -> None:
        postgres.kill()
        try:
            with pytest.raises(PlatformUnavailable):
                store.schema_version()
        finally:
            postgres.start()
        assert store.schema_version() == SCHEMA_VERSION

    def test_an_api_that_hangs_is_away_after_the_timeout(
        self, producer: Producer, supabase: LocalSupabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(services.supabase_client, "REQUEST_TIMEOUT", httpx.Timeout(0.3))
        impatient = SupabaseClient(supabase.url, supabase.service_role_key)
        supabase.pause()
        try:
            with pytest.raises(PlatformUnavailable, match="ReadTimeout"):
                impatient.schema_version()
        finally:
            supabase.resume()

    def test_the_victim_of_a_deadlock_may_try_again(
        self, store: SupabaseClient, producer: Producer, postgres: LocalPostgres
    ) -> None:
        """The platform's job locks a balance and then the session; a failure locks them the other way round."""
        submitted = producer.submit_b2c([], push=False)

        def fail() -> FailAnswer:
            return store.fail(submitted.session, fence=None, message="Sorry.", reason="task_lost")

        # Postgres ends whichever waits longer than its deadlock_timeout (1 s) and finds the cycle: never the job.
        with (
            psycopg.connect(postgres.dsn, options="-c deadlock_timeout=60s") as job,
            ThreadPoolExecutor(1) as pool,
        ):
            job.execute("SELECT refund_credits(%s, 1)", [submitted.owner_id])
            failing = pool.submit(fail)
            wait_until_somebody_waits_for_a_lock(producer)
            job.execute(
                "UPDATE generation_sessions SET status = 'failed' WHERE id = %s", [submitted.session.session_id]
            )
            with pytest.raises(PlatformUnavailable, match="40P01"):
                failing.result()
        assert fail().outcome == "settled"
        assert producer.balances().users == {submitted.owner_id: 10}


def wait_until_somebody_waits_for_a_lock(producer: Producer) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    for _ in range(10_000):
        if producer.value(waiting):
            return
    raise AssertionError("nobody waits")


class Proxy(BaseHTTPRequestHandler):
    """A gateway in front of Supabase with a bad day: every path is answered by what ``answer`` says."""

    answer: tuple[int, str, bytes] = (200, "application/json", b"")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        status, content_type, body = self.answer
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def behind_proxy() -> Iterator[SupabaseClient]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    client = SupabaseClient(f"http://127.0.0.1:{server.server_port}", "sb_secret_x")
    yield client
    client.close()
    server.shutdown()
    server.server_close()
    thread.join()


class TestAGateway:
    @every_call
    @pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 502, 503, 504, 520, 523, 544])
    @pytest.mark.parametrize("body", [b"<html>sorry</html>", b"", b"{}"], ids=["html", "empty", "object"])
    def test_that_is_overloaded_or_lost_its_origin_or_does_not_know_us_is_away(
        self,
        behind_proxy: SupabaseClient,
        monkeypatch: pytest.MonkeyPatch,
        call: Call,
        *,
        status: int,
        body: bytes,
    ) -> None:
        monkeypatch.setattr(Proxy, "answer", (status, "text/html", body))
        with pytest.raises(PlatformUnavailable):
            call(behind_proxy)

    @every_call
    @pytest.mark.parametrize("status", [400, 404, 413])
    def test_that_says_no_is_a_refusal(
        self, behind_proxy: SupabaseClient, monkeypatch: pytest.MonkeyPatch, call: Call, status: int
    ) -> None:
        monkeypatch.setattr(Proxy, "answer", (status, "text/html", b"<html>no</html>"))
        with pytest.raises(PlatformRefused):
            call(behind_proxy)

    @every_call
    def test_that_answers_200_with_a_page_of_its_own_is_away(
        self, behind_proxy: SupabaseClient, monkeypatch: pytest.MonkeyPatch, call: Call
    ) -> None:
        monkeypatch.setattr(Proxy, "answer", (200, "text/html", b"<html>back soon</html>"))
        with pytest.raises(PlatformUnavailable):
            call(behind_proxy)

    @pytest.mark.parametrize("code", ["PGRST202", "42883"])
    def test_a_database_without_the_migration_has_no_version(
        self, behind_proxy: SupabaseClient, monkeypatch: pytest.MonkeyPatch, code: str
    ) -> None:
        body = json.dumps({"code": code, "message": "no function", "hint": None, "details": None}).encode()
        monkeypatch.setattr(Proxy, "answer", (404, "application/json", body))
        assert behind_proxy.schema_version() is None

    @every_call
    def test_no_secret_of_an_answer_gets_into_the_error(
        self, behind_proxy: SupabaseClient, monkeypatch: pytest.MonkeyPatch, call: Call
    ) -> None:
        body = json.dumps({"message": f"no: {URL}", "error": URL, "statusCode": "400", "code": "P0001"}).encode()
        monkeypatch.setattr(Proxy, "answer", (400, "application/json", body))
        with pytest.raises(PlatformRefused) as refused:
            call(behind_proxy)
        assert "token" not in str(refused.value)


@pytest.mark.parametrize(
    ("code", "retryable"),
    [
        (None, True),
        ("40001", True),  # serialisation failure
        ("40P01", True),  # deadlock
        ("08006", True),  # connection failure
        ("53300", True),  # too many connections
        ("55P03", True),  # lock not available
        ("XX000", True),  # internal error, for example "tuple concurrently updated" while SQL is being applied
        ("57014", True),  # statement timeout
        ("57P01", True),  # the server is being shut down
        ("58030", True),  # I/O error
        ("PGRST000", True),
        ("PGRST003", True),  # no connection from the pool in time
        ("503", True),
        ("544", True),
        ("42501", True),  # permission denied: the key
        ("PGRST301", True),  # bad token
        ("401", True),
        ("PGRST202", True),  # no such function: the migration
        ("42883", True),
        ("23514", False),  # a CHECK
        ("P0001", False),  # RAISE EXCEPTION
        ("404", False),
        ("40", False),  # no SQLSTATE at all
    ],
)
def test_away_for_now_is_told_from_no_by_the_code(code: str | None, retryable: bool) -> None:
    assert is_retryable(code) is retryable


def test_the_bucket_is_the_platform_s() -> None:
    assert services.supabase_client.BUCKET == BUCKET
