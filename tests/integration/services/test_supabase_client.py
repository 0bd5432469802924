"""The platform's client against the real API, the real database and the real storage, and against their absence."""

import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from psycopg.sql import SQL

from models.failures import PlatformFailure, PlatformLocked, PlatformRefused, PlatformUnavailable, StorageRefused
from models.generation import Channel, GeneratedImage, SessionRef, SessionStatus, Usage
from sandbox.plain_http import NO_AUTHORITIES
from sandbox.platform.producer import Producer, StoreMode
from sandbox.servers.postgres import LocalPostgres
from sandbox.servers.processes import LOOPBACK
from sandbox.servers.supabase import BUCKET, LocalSupabase
from services.platform import supabase_client
from services.platform.answers import ClaimAnswer, FailAnswer
from services.platform.supabase_client import SCHEMA_VERSION, SIGNED_URL_SECONDS, SupabaseClient
from tests.support.platform_faults import bucket_limited, bucket_renamed, frozen_balances, read_only_database
from tests.support.platform_proxy import (
    EVERYTHING,
    UPLOAD,
    PlatformProxy,
    Reply,
    database_error,
    page,
    redirect,
    said,
    storage_error,
)
from tests.support.tls import Authority, TlsFront
from tests.support.worker import wait_until
from worker.settlement.policy import ATTEMPT_LIMIT

JPEG = b"\xff\xd8\xff\xe0 as far as Storage cares"
IMAGE = GeneratedImage(JPEG, "gpt-image-1.5", Usage(50, 3_150, 1_056), Decimal("0.042251"))
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.c2lnbmF0dXJl"
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


def renew(store: SupabaseClient) -> bool:
    return store.heartbeat(uuid4(), host="test", lease_seconds=LEASE_SECONDS)


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

    def test_what_a_picture_cost_stays_empty_where_the_provider_did_not_tell_and_0_is_0(
        self, store: SupabaseClient, producer: Producer, executor: UUID
    ) -> None:
        told: list[tuple[int | None, Decimal | None]] = []
        free = Usage(input_text_tokens=0, input_image_tokens=0, output_tokens=0)
        for usage, cost_usd in ((None, None), (free, Decimal(0))):
            session, fence = producer.submit_b2c([], push=False).session, uuid4()
            claim(store, session, executor, fence)
            image = replace(IMAGE, usage=usage, estimated_cost_usd=cost_usd)
            store.complete(session, fence=fence, image_url=URL, processing_time_ms=1, image=image)
            row = producer.session(session)
            told.append((row.output_tokens, row.estimated_cost_usd))
        assert told == [(None, None), (0, Decimal(0))]

    def test_every_outcome_of_a_claim_is_understood(
        self, store: SupabaseClient, producer: Producer, executor: UUID
    ) -> None:
        session, fence = producer.submit_b2c([], push=False).session, uuid4()
        assert claim(store, SessionRef(session.channel, uuid4()), executor, fence).outcome == "missing"
        assert claim(store, session, uuid4(), fence).outcome == "executor_dead"
        assert claim(store, session, executor, fence).outcome == "claimed"
        assert claim(store, session, executor, uuid4()) == ClaimAnswer("owned")
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
        answer = httpx.get(url, trust_env=False, verify=NO_AUTHORITIES)
        assert (answer.content, answer.headers["content-type"]) == (JPEG, "image/jpeg")
        claims = httpx.URL(url).params["token"].split(".")[1]
        token = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        assert token["exp"] - token["iat"] == SIGNED_URL_SECONDS == 21_600

    def test_what_is_not_there_cannot_be_signed(self, store: SupabaseClient) -> None:
        with pytest.raises(StorageRefused, match="sign_result"):
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
        with frozen_balances(producer), pytest.raises(PlatformRefused) as refused:
            store.fail(session, fence=None, message="Sorry.", reason="task_lost")
        assert (refused.value.operation, refused.value.reason) == ("wearon_worker_fail_v2", "23514")
        assert producer.session(session).status is SessionStatus.QUEUED


Call = Callable[[SupabaseClient], object]
SOME = SessionRef(Channel.B2C, UUID(int=1))
NOBODY = UUID(int=2)
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
CALLS: dict[str, Call] = {
    "version": lambda store: store.schema_version(),
    "heartbeat": lambda store: store.heartbeat(NOBODY, host="test", lease_seconds=LEASE_SECONDS),
    "claim": lambda store: claim(store, SOME, NOBODY, NOBODY),
    "release": lambda store: store.release(SOME, fence=NOBODY, rate_limited=False),
    "complete": lambda store: complete(store, SOME, NOBODY),
    "fail": lambda store: store.fail(SOME, fence=NOBODY, message="Sorry.", reason="moderated"),
    "recover": lambda store: store.recover(NOBODY, lease_seconds=LEASE_SECONDS, holders=[]),
    "unowned sessions": lambda store: store.unowned_sessions(
        grace_seconds=0, after=BEGINNING, after_id=UUID(int=0), limit=1
    ),
    "an upload": lambda store: store.store_result("generated/a/b.jpg", JPEG),
    "a signature": lambda store: store.sign_result("generated/a/b.jpg"),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


WAITS_FOR_LOCKS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


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

    def test_an_api_that_hangs_is_away_after_the_timeout(self, producer: Producer, supabase: LocalSupabase) -> None:
        impatient = SupabaseClient(supabase.url, supabase.service_role_key, timeout=httpx.Timeout(0.3))
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

        # Postgres ends whichever has waited for its deadlock_timeout and finds the cycle: the failure, which looks for
        # it so late that the job waits too by then.
        with (
            deadlocks_are_looked_for_after("5s", postgres),
            psycopg.connect(postgres.dsn, options="-c deadlock_timeout=60s") as job,
            ThreadPoolExecutor(1) as pool,
        ):
            job.execute("SELECT refund_credits(%s, 1)", [submitted.owner_id])
            failing = pool.submit(fail)
            wait_until(lambda: producer.value(WAITS_FOR_LOCKS), "somebody waits for a lock")
            job.execute(
                "UPDATE generation_sessions SET status = 'failed' WHERE id = %s", [submitted.session.session_id]
            )
            with pytest.raises(PlatformUnavailable, match="40P01"):
                failing.result()
        assert fail().outcome == "settled"
        assert producer.balances().users == {submitted.owner_id: 10}


@contextmanager
def deadlocks_are_looked_for_after(timeout: str, postgres: LocalPostgres) -> Iterator[None]:
    """By every connection, those that are open among them."""

    def shown() -> str:
        # To a new connection: before it takes one, Postgres has told all others of the change.
        with psycopg.connect(postgres.dsn) as connection:
            return str(connection.execute("SHOW deadlock_timeout").fetchone()[0])  # type: ignore[index]

    with psycopg.connect(postgres.dsn, autocommit=True) as admin:
        admin.execute(SQL("ALTER SYSTEM SET deadlock_timeout = {}").format(timeout))
        try:
            admin.execute("SELECT pg_reload_conf()")
            wait_until(lambda: shown() == timeout, "the timeout is another")
            yield
        finally:
            admin.execute("ALTER SYSTEM RESET deadlock_timeout")
            admin.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="module")
def gateway() -> Iterator[PlatformProxy]:
    """With nothing behind it."""
    with PlatformProxy("http://127.0.0.1:1") as gateway:
        yield gateway


@pytest.fixture
def proxy(gateway: PlatformProxy) -> PlatformProxy:
    gateway.forward_all()
    return gateway


@pytest.fixture(scope="module")
def behind_proxy(gateway: PlatformProxy) -> Iterator[SupabaseClient]:
    client = SupabaseClient(gateway.url, "sb_secret_x")
    yield client
    client.close()


class TestSomethingBetween:
    @every_call
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 410, 429, 500, 502, 503, 504, 520, 523, 544])
    @pytest.mark.parametrize("body", [b"<html>sorry</html>", b"", b"{}", b'{"message": "sorry"}'])
    def test_that_answers_in_the_platform_s_place_is_away(
        self, behind_proxy: SupabaseClient, proxy: PlatformProxy, call: Call, *, status: int, body: bytes
    ) -> None:
        proxy.answer(EVERYTHING, Reply(status, body, "text/html"))
        with pytest.raises(PlatformUnavailable):
            call(behind_proxy)

    @every_call
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_that_redirects_is_not_followed_and_the_way_it_shows_is_told(
        self, behind_proxy: SupabaseClient, proxy: PlatformProxy, call: Call, *, status: int
    ) -> None:
        proxy.answer(EVERYTHING, redirect("https://elsewhere.example/login?token=secret", status))
        with pytest.raises(PlatformLocked, match=r"redirects to https://elsewhere\.example/login\)$"):
            call(behind_proxy)

    @every_call
    @pytest.mark.parametrize(
        "body",
        [
            b"<html>back soon</html>",
            b"",
            b"{}",
            b"[]",
            b"null",
            b"[1]",
            b'"ok"',
            b'{"message": "back soon"}',
            b'{"outcome": null, "alive": "?", "dead": {}, "Key": 1, "signedURL": ""}',
            b'[{"channel": "b2x"}]',
        ],
    )
    def test_that_answers_200_with_something_of_its_own_is_away(
        self, behind_proxy: SupabaseClient, proxy: PlatformProxy, call: Call, body: bytes
    ) -> None:
        if call is CALLS["unowned sessions"] and body == b"[]":
            return  # which is an answer
        proxy.answer(EVERYTHING, Reply(200, body))
        with pytest.raises(PlatformUnavailable, match="not the answer"):
            call(behind_proxy)

    def test_what_it_says_is_told_without_what_nobody_may_see(
        self, behind_proxy: SupabaseClient, proxy: PlatformProxy
    ) -> None:
        proxy.answer(EVERYTHING, said(401, message="Legacy API keys are disabled", hint=f"not {JWT} but {URL}"))
        with pytest.raises(PlatformLocked) as locked:
            behind_proxy.schema_version()
        assert locked.value.reason == "HTTP 401"
        assert "Legacy API keys are disabled. not [secret] but https://platform.test/" in locked.value.detail
        assert "token" not in str(locked.value)

    @pytest.mark.parametrize("code", ["PGRST202", "42883"])
    def test_a_database_without_the_migration_has_no_version(
        self, behind_proxy: SupabaseClient, proxy: PlatformProxy, code: str
    ) -> None:
        proxy.answer(EVERYTHING, database_error(404, code))
        assert behind_proxy.schema_version() is None

    def test_a_certificate_nobody_vouches_for_is_for_a_person_to_mend(self, tmp_path: Path) -> None:
        tls = Authority.create(tmp_path, "nobody").server_context(tmp_path, LOOPBACK)
        with TlsFront(tls, 1) as front:
            client = SupabaseClient(f"https://{LOOPBACK}:{front.port}", "sb_secret_x")
            with pytest.raises(PlatformLocked, match="certificate verify failed"):
                client.schema_version()


class TestTheDatabaseSaysNo:
    @pytest.mark.parametrize("code", ["22P02", "22003", "23503", "23505", "23514", "P0001"])
    def test_to_one_session(self, behind_proxy: SupabaseClient, proxy: PlatformProxy, code: str) -> None:
        proxy.answer(EVERYTHING, database_error(400, code, "Insufficient credits"))
        with pytest.raises(PlatformRefused) as refused:
            behind_proxy.schema_version()
        assert (refused.value.reason, refused.value.detail) == (code, "Insufficient credits")

    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (405, "25006"),  # read-only, as after a failover or when the disk is full
            (400, "0A000"),
            (500, "40001"),  # serialisation failure
            (500, "40P01"),  # deadlock
            (503, "08006"),  # connection failure
            (503, "53300"),  # too many connections
            (500, "55P03"),  # lock not available
            (500, "57014"),  # statement timeout
            (500, "57P01"),  # the server is being shut down
            (500, "XX000"),  # internal error, as while SQL is being applied
            (400, "42703"),  # a column that is not there: the migration
            (404, "42P01"),
            (503, "PT503"),  # a function's own status
            (503, "PGRST000"),
            (504, "PGRST003"),  # no connection from the pool in time
            (300, "PGRST203"),  # two functions of that name
            (404, "PGRST202"),
            (400, "40"),  # no SQLSTATE at all
            (400, "nobody knows"),
        ],
    )
    def test_to_nobody_in_particular_and_is_away(
        self, behind_proxy: SupabaseClient, proxy: PlatformProxy, status: int, code: str
    ) -> None:
        proxy.answer(EVERYTHING, database_error(status, code))
        with pytest.raises(PlatformUnavailable):
            behind_proxy.heartbeat(UUID(int=1), host="test", lease_seconds=LEASE_SECONDS)

    @pytest.mark.parametrize(
        ("status", "code"), [(401, "PGRST301"), (401, "42501"), (403, "42501"), (402, "nobody knows")]
    )
    def test_to_our_key_which_a_person_must_mend(
        self, behind_proxy: SupabaseClient, proxy: PlatformProxy, status: int, code: str
    ) -> None:
        proxy.answer(EVERYTHING, database_error(status, code))
        with pytest.raises(PlatformLocked):
            behind_proxy.schema_version()

    def test_by_being_read_only_and_is_away(self, store: SupabaseClient, postgres: LocalPostgres) -> None:
        with read_only_database(postgres.dsn):
            error = wait_until(lambda: refusal_of(lambda: renew(store)), "the API's sessions read the configuration")
        assert error is not None
        assert (type(error), error.reason) == (PlatformUnavailable, "25006")
        assert error.detail == "cannot execute INSERT in a read-only transaction"
        assert wait_until(lambda: refusal_of(lambda: renew(store)) is None, "and read it again")


def refusal_of(call: Callable[[], object]) -> PlatformFailure | None:
    try:
        call()
    except PlatformFailure as failure:
        return failure
    return None


class TestStorageSaysNo:
    @pytest.mark.parametrize(
        ("status", "error", "message"),
        [
            (404, "Bucket not found", "Bucket not found"),
            (415, "invalid_mime_type", "mime type image/jpeg is not supported"),
            (413, "Payload too large", "The object exceeded the maximum allowed size"),
            (400, "InvalidKey", "Invalid key: generated/a/b.jpg"),
            (400, "TenantNotFound", "Missing tenant config for tenant abc"),
        ],
    )
    def test_to_every_picture(
        self, behind_proxy: SupabaseClient, proxy: PlatformProxy, status: int, error: str, message: str
    ) -> None:
        proxy.answer(UPLOAD, storage_error(status, error, message))
        with pytest.raises(StorageRefused) as refused:
            behind_proxy.store_result("generated/a/b.jpg", JPEG)
        assert (refused.value.reason, refused.value.detail[-len(message) :]) == (f"HTTP {status}", message)

    def test_by_a_gateway_that_finds_the_picture_too_large(
        self, behind_proxy: SupabaseClient, proxy: PlatformProxy
    ) -> None:
        proxy.answer(UPLOAD, page(413, "Request Entity Too Large"))
        with pytest.raises(StorageRefused, match="413 Request Entity Too Large"):
            behind_proxy.store_result("generated/a/b.jpg", JPEG)

    @pytest.mark.parametrize(
        ("status", "error"),
        [(423, "ResourceLocked"), (409, "TransactionError"), (429, "SlowDown"), (503, "SlowDown"), (544, "Timeout")],
    )
    def test_for_a_moment_and_is_away(
        self, behind_proxy: SupabaseClient, proxy: PlatformProxy, status: int, error: str
    ) -> None:
        proxy.answer(UPLOAD, storage_error(status, error, "later"))
        with pytest.raises(PlatformUnavailable, match=f"HTTP {status}"):
            behind_proxy.store_result("generated/a/b.jpg", JPEG)

    @pytest.mark.parametrize(
        ("status", "error"), [(401, "Unauthorized"), (402, "x"), (403, "Unauthorized"), (400, "InvalidJWT")]
    )
    def test_to_our_key_which_a_person_must_mend(
        self, behind_proxy: SupabaseClient, proxy: PlatformProxy, status: int, error: str
    ) -> None:
        proxy.answer(UPLOAD, storage_error(status, error, "signature verification failed"))
        with pytest.raises(PlatformLocked, match="signature verification failed"):
            behind_proxy.store_result("generated/a/b.jpg", JPEG)

    @pytest.mark.parametrize("error", ["Duplicate", "KeyAlreadyExists", "ResourceAlreadyExists"])
    def test_because_the_picture_is_there_and_that_is_yes(
        self, behind_proxy: SupabaseClient, proxy: PlatformProxy, error: str
    ) -> None:
        proxy.answer(UPLOAD, storage_error(409, error, "The resource already exists"))
        behind_proxy.store_result("generated/a/b.jpg", JPEG)


class TestCheckStorage:
    def test_a_bucket_that_takes_pictures_passes_and_nothing_is_left_behind(
        self, store: SupabaseClient, supabase: LocalSupabase
    ) -> None:
        store.check_storage(JPEG, 1)
        # Storage answers a deletion when its row is gone, and removes the file after that.
        wait_until(
            lambda: not [path for path in supabase.objects_directory.rglob("*") if "probe-" in path.name],
            "the probe is gone",
        )

    def test_a_bucket_that_is_not_there_is_refused_in_storage_s_words(
        self, store: SupabaseClient, postgres: LocalPostgres
    ) -> None:
        with bucket_renamed(postgres.dsn), pytest.raises(StorageRefused, match="Bucket not found"):
            store.check_storage(JPEG, 1)
        store.check_storage(JPEG, 1)

    def test_a_size_limit_that_is_too_small_is_refused(self, store: SupabaseClient, postgres: LocalPostgres) -> None:
        with bucket_limited(postgres.dsn, size_bytes=1_000):
            store.check_storage(JPEG, 1_000)
            with pytest.raises(StorageRefused, match="up to 1000 bytes"):
                store.check_storage(JPEG, 1_001)

    def test_a_type_that_is_not_taken_is_refused(self, store: SupabaseClient, postgres: LocalPostgres) -> None:
        with (
            bucket_limited(postgres.dsn, types=["image/png"]),
            pytest.raises(StorageRefused, match="image/jpeg is not supported"),
        ):
            store.check_storage(JPEG, 1)


def test_the_bucket_is_the_platform_s() -> None:
    assert supabase_client.BUCKET == BUCKET
