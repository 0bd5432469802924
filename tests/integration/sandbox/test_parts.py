"""The embedded platform does what the hosted one does, keeps its data, and never outlives the tests."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import psycopg
import pytest
import redis
from postgrest.exceptions import APIError
from storage3.exceptions import StorageApiError

from models.generation import SessionStatus
from models.task_payload import TASK_CONTRACT, B2bTask, B2cTask
from sandbox.pictures.image_host import ImageHost
from sandbox.plain_http import NO_AUTHORITIES
from sandbox.platform.producer import QUEUE_KEY, InsufficientCredits, Producer, StoreMode
from sandbox.platform.state import LedgerEntry
from sandbox.servers import node_packages
from sandbox.servers import postgres as postgres_local
from sandbox.servers.postgres import LocalPostgres
from sandbox.servers.processes import StartupFailed, wheel_directory
from sandbox.servers.redis import SERVER_VARIABLE, LocalRedis, server_program
from sandbox.servers.supabase import BASELINE, BUCKET, LocalSupabase
from supabase import Client, create_client
from tests.conftest import is_foreign

REPOSITORY = Path(__file__).resolve().parents[3]
JPEG = b"\xff\xd8\xff\xe0 as far as Storage cares"
IMAGES = ["https://example.com/person.jpg", "https://example.com/outfit.jpg"]
GONE_TIMEOUT_SECONDS = 60.0


class TestRedis:
    def test_what_was_pushed_is_there_after_a_kill_at_the_same_address(self, tmp_path: Path) -> None:
        with LocalRedis(tmp_path) as server, redis.Redis.from_url(server.url) as client:
            client.lpush("queue", "first")
            first_pid = server.pid
            server.kill()
            server.restart()
            assert server.pid != first_pid
            assert client.lrange("queue", 0, -1) == [b"first"]

    def test_a_password_is_required_when_one_is_set(self, tmp_path: Path) -> None:
        with LocalRedis(tmp_path, password="p@ss word#1") as server:
            assert redis.Redis.from_url(server.url).ping()
            with pytest.raises(redis.exceptions.AuthenticationError):
                redis.Redis(port=server.port).ping()

    def test_a_paused_server_hangs_and_a_resumed_one_answers(self, tmp_path: Path) -> None:
        with LocalRedis(tmp_path) as server, redis.Redis.from_url(server.url, socket_timeout=0.1) as client:
            server.pause()
            with pytest.raises(redis.exceptions.TimeoutError):
                client.ping()
            server.resume()
            assert redis.Redis.from_url(server.url).ping()

    def test_another_server_runs_when_the_environment_names_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        named = tmp_path / "redis server"
        named.write_text(f'#!/bin/sh\ntouch "{tmp_path}/it-was-this-one"\nexec "{server_program()}" "$@"\n')
        named.chmod(0o755)
        monkeypatch.setenv(SERVER_VARIABLE, str(named))
        with LocalRedis(tmp_path) as server:
            assert redis.Redis.from_url(server.url).ping()
        assert (tmp_path / "it-was-this-one").exists()

    @pytest.mark.parametrize("named", ["no-such-program", "."])
    def test_a_named_server_that_is_none_is_said_and_no_other_taken(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
    ) -> None:
        monkeypatch.setenv(SERVER_VARIABLE, str(tmp_path / named))
        with pytest.raises(StartupFailed, match=r"WEARON_REDIS_SERVER is .*, which is no program"):
            LocalRedis(tmp_path).start()

    def test_a_server_that_cannot_start_says_why(self, tmp_path: Path, redis_server: LocalRedis) -> None:
        with pytest.raises(StartupFailed, match="Address already in use"):
            LocalRedis(tmp_path, port=redis_server.port, password="other").start()


class TestPostgres:
    def test_a_committed_row_is_there_after_a_kill(self, postgres: LocalPostgres) -> None:
        with psycopg.connect(postgres.dsn) as connection:
            connection.execute("CREATE TABLE survivors (name text)")
            connection.execute("INSERT INTO survivors VALUES ('one')")
        postgres.kill()
        postgres.restart()
        with psycopg.connect(postgres.dsn) as connection:
            assert connection.execute("SELECT name FROM survivors").fetchall() == [("one",)]
            connection.execute("DROP TABLE survivors")

    def test_the_server_never_runs_as_root(self, postgres: LocalPostgres) -> None:
        assert psutil.Process(postgres.pid).uids().effective != 0

    def test_another_password_is_refused(self, postgres: LocalPostgres) -> None:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(postgres.dsn, password="guess")

    def test_program_and_data_may_lie_where_only_their_owner_can_look(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A checkout below a 0700 home: as root the server's user could reach neither."""
        tmp_path.chmod(0o700)
        installed = wheel_directory(postgres_local.WHEEL)
        for part in installed.parent.glob(f"{installed.name}*"):
            shutil.copytree(part, tmp_path / part.name, symlinks=True)
        monkeypatch.setattr(postgres_local, "wheel_directory", tmp_path.joinpath)
        server = LocalPostgres(tmp_path / "postgres", fsync=False)
        try:
            with server:
                location = server.directory / "location"
                outside = Path(location.read_text()) if location.exists() else None
                assert (outside is not None) == (os.geteuid() == 0)
            reopened = LocalPostgres(tmp_path / "postgres", fsync=False)
            with reopened, psycopg.connect(reopened.dsn) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
        finally:
            server.wipe()
        assert not server.directory.exists()
        assert outside is None or not outside.exists()


START_AND_WAIT = """
import sys
from collections.abc import Iterator
from pathlib import Path
from sandbox.servers.postgres import LocalPostgres
from sandbox.servers.redis import LocalRedis
postgres = LocalPostgres(Path(sys.argv[1]) / "postgres", fsync=False)
redis = LocalRedis(Path(sys.argv[1]) / "redis")
postgres.start()
redis.start()
print(postgres.pid, redis.pid, flush=True)
sys.stdin.read()
"""


def is_at_work(process: psutil.Process) -> bool:
    """Whether more of it is left than an exit code that nobody has fetched."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_servers_end_when_the_process_that_started_them_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", START_AND_WAIT, tmp_path],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        servers = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        parent.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(servers, timeout=GONE_TIMEOUT_SECONDS)
    LocalPostgres(tmp_path / "postgres").wipe()
    assert len(servers) == 2
    assert [server for server in alive if is_at_work(server)] == []


def test_a_killed_server_is_gone_with_all_its_children(tmp_path: Path) -> None:
    server = LocalPostgres(tmp_path, fsync=False)
    try:
        server.start()
        children = psutil.Process(server.pid).children(recursive=True)
        server.kill()
        assert children
        assert [child for child in children if is_at_work(child)] == []
    finally:
        server.wipe()


@pytest.mark.parametrize(
    "name", ["REDIS_URL", "SUPABASE_URL", "OPENAI_API_KEY", "https_proxy", "PORT", "PGHOST", "PLATFORM_PAUSE_SECONDS"]
)
def test_the_developer_s_own_settings_do_not_reach_the_tests(name: str) -> None:
    assert is_foreign(name)
    assert name not in os.environ


@pytest.mark.parametrize("name", ["PATH", "HOME", "TMPDIR", "PYTHONPATH", "SSL_CERT_FILE"])
def test_what_programs_need_to_run_stays(name: str) -> None:
    assert not is_foreign(name)


@pytest.fixture
def service(clean_platform: None, supabase: LocalSupabase) -> Client:
    """The official client with the worker's key."""
    return create_client(supabase.url, supabase.service_role_key)


@pytest.fixture
def anon(clean_platform: None, supabase: LocalSupabase) -> Client:
    """The official client with the key that every browser has."""
    return create_client(supabase.url, supabase.anon_key)


FUNCTIONS_OF_THE_TEST = """
CREATE FUNCTION public.forgotten() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION public.fail_with(state text) RETURNS void LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'told so' USING ERRCODE = state; END $$;
"""


@pytest.fixture(scope="class")
def functions_of_the_test(supabase: LocalSupabase, postgres: LocalPostgres) -> Iterator[None]:
    """Two functions, known to the API, which reads the list of functions when it starts."""
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(FUNCTIONS_OF_THE_TEST)
    supabase.restart()
    yield
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("DROP FUNCTION public.forgotten(); DROP FUNCTION public.fail_with(text)")


class TestSupabaseApi:
    def test_the_official_client_inserts_selects_and_calls_functions(self, service: Client) -> None:
        user_id = str(uuid4())
        service.table("user_credits").insert({"user_id": user_id, "balance": 3}).execute()
        assert service.rpc("deduct_credits", {"p_user_id": user_id, "p_amount": 2}).execute().data is True
        assert service.rpc("deduct_credits", {"p_user_id": user_id, "p_amount": 2}).execute().data is False
        rows = service.table("user_credits").select("balance").eq("user_id", user_id).execute().data
        assert rows == [{"balance": 1}]

    @pytest.mark.parametrize(
        ("function", "arguments"),
        [
            ("deduct_credits", {"p_user_id": str(uuid4()), "p_amount": 1}),
            ("refund_credits", {"p_user_id": str(uuid4()), "p_amount": 1}),
            ("deduct_store_credits", {"p_store_id": str(uuid4()), "p_amount": 1, "p_request_id": "r"}),
            ("refund_store_credits", {"p_store_id": str(uuid4()), "p_amount": 1, "p_request_id": "r"}),
            (
                "deduct_store_shopper_credits",
                {"p_store_id": str(uuid4()), "p_shopper_email": "a@b.c", "p_amount": 1, "p_request_id": "r"},
            ),
            (
                "refund_store_shopper_credits",
                {"p_store_id": str(uuid4()), "p_shopper_email": "a@b.c", "p_amount": 1, "p_request_id": "r"},
            ),
            ("log_store_overage", {"p_store_id": str(uuid4()), "p_request_id": "r"}),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_a_browser_may_not_call_a_credit_function(
        self, anon: Client, function: str, arguments: dict[str, Any]
    ) -> None:
        with pytest.raises(APIError, match="permission denied") as refused:
            anon.rpc(function, arguments).execute()
        assert refused.value.code == "42501"

    def test_a_browser_may_not_read_the_platform_s_tables(self, anon: Client) -> None:
        with pytest.raises(APIError, match="permission denied"):
            anon.table("generation_sessions").select("*").execute()

    def test_a_request_without_any_key_is_refused(self, clean_platform: None, supabase: LocalSupabase) -> None:
        answer = httpx.get(f"{supabase.url}/rest/v1/user_credits", timeout=30.0, verify=NO_AUTHORITIES)
        assert answer.status_code == httpx.codes.UNAUTHORIZED

    def test_what_a_migration_creates_is_open_to_browsers_unless_it_says_otherwise(
        self, anon: Client, functions_of_the_test: None
    ) -> None:
        """As on hosted Supabase, so that a migration which forgets to close its functions is found out here."""
        assert anon.rpc("forgotten", {}).execute().data == 1

    def test_uploading_again_needs_upsert(self, service: Client) -> None:
        bucket = service.storage.from_(BUCKET)
        path = f"generated/{uuid4()}/{uuid4()}.jpg"
        options: Any = {"content-type": "image/jpeg", "upsert": "true"}
        bucket.upload(path, JPEG, options)
        bucket.upload(path, JPEG + b" again", options)
        assert bucket.download(path) == JPEG + b" again"
        with pytest.raises(StorageApiError, match="already exists"):
            bucket.upload(path, JPEG, {"content-type": "image/jpeg"})

    def test_a_signed_url_gives_the_picture_even_after_a_kill(self, service: Client, supabase: LocalSupabase) -> None:
        bucket = service.storage.from_(BUCKET)
        path = f"generated/{uuid4()}/{uuid4()}.jpg"
        bucket.upload(path, JPEG, {"content-type": "image/jpeg"})
        url = str(bucket.create_signed_url(path, 21_600)["signedURL"])
        supabase.kill()
        supabase.restart()
        answer = httpx.get(url, timeout=30.0, verify=NO_AUTHORITIES)
        assert (answer.status_code, answer.content) == (httpx.codes.OK, JPEG)
        assert answer.headers["content-type"] == "image/jpeg"
        assert httpx.get(url.partition("?")[0], timeout=30.0, verify=NO_AUTHORITIES).is_error, "the bucket is private"

    @pytest.mark.parametrize(
        ("sqlstate", "status"),
        [
            ("P0001", 400),  # RAISE EXCEPTION
            ("23514", 400),  # a CHECK
            ("23505", 409),  # a unique key
            ("40001", 500),  # serialisation failure
            ("40P01", 500),  # deadlock
            ("57014", 500),  # statement timeout
            ("53300", 503),  # too many connections
            ("WW001", 400),  # an application's own
        ],
    )
    def test_a_database_error_keeps_its_sqlstate_and_its_meaning(
        self, service: Client, supabase: LocalSupabase, functions_of_the_test: None, sqlstate: str, status: int
    ) -> None:
        """PostgREST's table of SQLSTATE to HTTP status: how a client tells "refused" from "try again"."""
        answer = httpx.post(
            f"{supabase.url}/rest/v1/rpc/fail_with",
            json={"state": sqlstate},
            headers={"apikey": supabase.service_role_key},
            timeout=30.0,
            verify=NO_AUTHORITIES,
        )
        assert (answer.status_code, answer.json()["code"]) == (status, sqlstate)
        assert answer.json()["message"] == "told so"

    def test_a_database_that_is_away_is_a_503_and_comes_back(
        self, clean_platform: None, supabase: LocalSupabase, postgres: LocalPostgres
    ) -> None:
        headers = {"apikey": supabase.service_role_key}
        with httpx.Client(base_url=supabase.url, headers=headers, timeout=30.0, verify=NO_AUTHORITIES) as api:
            assert api.get("/rest/v1/stores").json() == []
            postgres.kill()
            away = api.get("/rest/v1/stores")
            assert (away.status_code, away.json()["code"]) == (httpx.codes.SERVICE_UNAVAILABLE, "PGRST001")
            postgres.start()
            assert api.get("/rest/v1/stores").json() == []

    def test_an_uncorrected_api_is_noticed_at_start(
        self, tmp_path: Path, supabase: LocalSupabase, postgres: LocalPostgres
    ) -> None:
        nothing = tmp_path / "nothing.cjs"
        nothing.touch()
        uncorrected = LocalSupabase(tmp_path, postgres, corrections=nothing)
        with pytest.raises(
            StartupFailed, match="sign answer, a signed URL, a link that ran out, the idle time, a refused row"
        ):
            uncorrected.start()
        assert not uncorrected.is_running

    def test_an_edited_migration_takes_hold_at_the_next_start(
        self, tmp_path: Path, supabase: LocalSupabase, postgres: LocalPostgres
    ) -> None:
        edited = tmp_path / "baseline.sql"
        edited.write_text(f"{BASELINE.read_text()}\nCREATE TABLE IF NOT EXISTS public.edited (id int);\n")
        LocalSupabase(supabase.directory, postgres, baseline=edited).apply_migrations()
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute("DROP TABLE public.edited")  # raises if it is not there
        supabase.apply_migrations()

    def test_node_packages_are_installed_only_once(
        self, supabase: LocalSupabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def never(*_: object) -> None:
            raise AssertionError("npm was run again")

        monkeypatch.setattr(node_packages, "_npm_ci", never)
        assert node_packages.ensure_node_packages().is_dir()


class TestPlatformBaseline:
    def test_it_can_be_applied_again_over_data(self, producer: Producer, postgres: LocalPostgres) -> None:
        submitted = producer.submit_b2c(IMAGES)
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute(BASELINE.read_bytes())
        assert producer.session(submitted.session).status is SessionStatus.QUEUED

    def test_both_session_tables_are_published_to_realtime(self, producer: Producer) -> None:
        published = producer.value(
            "SELECT array_agg(tablename::text ORDER BY tablename) FROM pg_publication_tables WHERE pubname = %s",
            "supabase_realtime",
        )
        assert published == ["generation_sessions", "store_generation_sessions"]

    def test_a_user_refund_is_given_every_time_it_is_asked_for(self, producer: Producer) -> None:
        user_id = producer.new_user(balance=1)
        producer.submit_b2c(IMAGES, user_id=user_id)
        for _ in range(2):
            producer.execute("SELECT refund_credits(%s, 1)", user_id)
        assert producer.balances().users == {user_id: 2}

    def test_a_store_refund_is_given_once_per_request(self, producer: Producer) -> None:
        store = producer.new_store(balance=5)
        request_id = producer.submit_b2b(IMAGES, store=store).request_id
        producer.execute("SELECT refund_store_credits(%s, 1, %s)", store.store_id, request_id)
        with pytest.raises(psycopg.errors.UniqueViolation):
            producer.execute("SELECT refund_store_credits(%s, 1, %s)", store.store_id, request_id)
        assert producer.balances().stores == {store.store_id: 5}

    def test_a_shopper_refund_is_given_once_per_request_to_the_address_as_it_is_kept(self, producer: Producer) -> None:
        store = producer.new_store(StoreMode.RESELL, balance=5)
        assert store.shopper_email is not None
        request_id = producer.submit_b2b(IMAGES, store=store).request_id
        refund = "SELECT refund_store_shopper_credits(%s, %s, 1, %s)"
        with pytest.raises(psycopg.errors.RaiseException):
            producer.execute(refund, store.store_id, store.shopper_email.upper(), request_id)
        producer.execute(refund, store.store_id, store.shopper_email, request_id)
        with pytest.raises(psycopg.errors.UniqueViolation):
            producer.execute(refund, store.store_id, store.shopper_email, request_id)
        assert producer.balances().shoppers == {(store.store_id, store.shopper_email): 5}

    @pytest.mark.parametrize(
        "refund",
        [
            "SELECT refund_credits(gen_random_uuid(), 1)",
            "SELECT refund_store_credits(gen_random_uuid(), 1, 'r')",
            "SELECT refund_store_shopper_credits(gen_random_uuid(), 'a@b.c', 1, 'r')",
        ],
    )
    def test_nobody_gets_a_refund_without_an_account(self, producer: Producer, refund: str) -> None:
        with pytest.raises(psycopg.errors.RaiseException):
            producer.execute(refund)
        assert producer.ledger() == []


class TestProducer:
    def test_a_b2c_task_is_charged_inserted_and_pushed_as_the_contract_says(self, producer: Producer) -> None:
        submitted = producer.submit_b2c(IMAGES, credits_used=2)
        assert producer.balances().users == {submitted.owner_id: 8}
        row = producer.session(submitted.session)
        assert (row.owner_id, row.status, row.credits_used) == (submitted.owner_id, SessionStatus.QUEUED, 2)
        task = TASK_CONTRACT.validate_json(submitted.payload)
        assert isinstance(task, B2cTask)
        assert (task.owner_id, task.session) == (submitted.owner_id, submitted.session)
        assert task.store_id is None
        assert '"store_id"' not in submitted.payload
        assert task.request_id == submitted.request_id
        assert submitted.request_id.startswith("req_")

    @pytest.mark.parametrize(
        ("mode", "entry_type", "store_balance", "shopper_balance"),
        [
            (StoreMode.ABSORB, "deduction", 9, None),
            (StoreMode.RESELL, "deduction", 0, 9),
            (StoreMode.OVERAGE, "overage", 0, None),
        ],
    )
    def test_a_b2b_task_is_charged_to_whoever_pays(
        self, producer: Producer, mode: StoreMode, entry_type: str, store_balance: int, shopper_balance: int | None
    ) -> None:
        submitted = producer.submit_b2b(IMAGES, mode=mode)
        balances = producer.balances()
        assert balances.stores == {submitted.owner_id: store_balance}
        assert list(balances.shoppers.values()) == ([] if shopper_balance is None else [shopper_balance])
        [entry] = producer.ledger()
        assert isinstance(entry, LedgerEntry)
        shopper = submitted.charged_store.shopper_email if submitted.charged_store else None
        assert entry.description is not None
        assert entry.description.endswith(f" (shopper={shopper})") == (mode is StoreMode.RESELL), "who paid"
        row_says = "SELECT shopper_email FROM store_generation_sessions WHERE id = %s"
        assert producer.value(row_says, submitted.session.session_id) == shopper, "who shops, in every mode"
        assert (entry.owner_id, entry.amount, entry.type) == (submitted.owner_id, -1, entry_type)
        assert entry.request_id == submitted.request_id
        task = TASK_CONTRACT.validate_json(submitted.payload)
        assert isinstance(task, B2bTask)
        assert (task.owner_id, task.session) == (submitted.owner_id, submitted.session)
        assert '"user_id"' not in submitted.payload

    def test_the_oldest_task_is_at_the_right_end_of_the_queue(
        self, producer: Producer, redis_server: LocalRedis
    ) -> None:
        user_id = producer.new_user()
        first, second = (producer.submit_b2c(IMAGES, user_id=user_id) for _ in range(2))
        assert producer.queue_length() == 2
        with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
            assert client.lrange(QUEUE_KEY, 0, -1) == [second.payload, first.payload]

    def test_who_cannot_pay_gets_no_session_and_no_task(self, producer: Producer) -> None:
        with pytest.raises(InsufficientCredits):
            producer.submit_b2c(IMAGES, user_id=producer.new_user(balance=0))
        for mode in (StoreMode.ABSORB, StoreMode.RESELL):
            with pytest.raises(InsufficientCredits):
                producer.submit_b2b(IMAGES, store=producer.new_store(mode, balance=0))
        assert producer.queue_length() == 0
        assert producer.value("SELECT count(*) FROM generation_sessions") == 0
        assert producer.value("SELECT count(*) FROM store_generation_sessions") == 0

    def test_waiting_for_a_session_ends_when_it_is_terminal_and_names_it_when_it_never_is(
        self, producer: Producer
    ) -> None:
        done, stuck = producer.submit_b2c(IMAGES).session, producer.submit_b2b(IMAGES).session
        producer.set_status(done, SessionStatus.FAILED)
        assert producer.wait_for(done).status is SessionStatus.FAILED
        with pytest.raises(TimeoutError, match=f"{stuck.session_id} is still queued"):
            producer.wait_for(stuck, timeout_seconds=0.05)


class TestImageHost:
    def test_it_serves_what_was_registered(self, image_host: ImageHost) -> None:
        answer = httpx.get(image_host.add("person.png", b"a picture", "image/png"), timeout=30.0, verify=NO_AUTHORITIES)
        assert (answer.content, answer.headers["content-type"]) == (b"a picture", "image/png")
        assert image_host.requests == ["/person.png"]

    @pytest.mark.parametrize(
        ("fault", "status", "content_type", "has_length"),
        [
            ("no-length", 200, "image/jpeg", False),
            ("redirect", 302, None, False),
            ("wrong-type", 200, "text/html", True),
            ("not-a-picture", 200, "image/jpeg", True),
            ("not-found", 404, "text/html;charset=utf-8", True),
            ("server-error", 500, "text/html;charset=utf-8", True),
            ("oversize", 200, "image/jpeg", True),
            ("oversize-no-length", 200, "image/jpeg", False),
        ],
    )
    def test_it_misbehaves_by_name(
        self, image_host: ImageHost, fault: str, status: int, content_type: str | None, has_length: bool
    ) -> None:
        answer = httpx.get(image_host.fault_url(fault), timeout=30.0, verify=NO_AUTHORITIES)
        assert (answer.status_code, answer.headers.get("content-type")) == (status, content_type)
        assert ("content-length" in answer.headers) == has_length
        assert (len(answer.content) > 10 * 1024 * 1024) == fault.startswith("oversize")

    def test_a_hanging_picture_sends_nothing(self, image_host: ImageHost) -> None:
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(image_host.fault_url("hang"), timeout=0.2, verify=NO_AUTHORITIES)

    def test_a_dripping_picture_keeps_sending_and_never_ends(self, image_host: ImageHost) -> None:
        with httpx.stream("GET", image_host.fault_url("drip"), timeout=30.0) as answer:
            chunks = answer.iter_raw()
            assert all(next(chunks) for _ in range(3))

    def test_an_unknown_fault_is_a_mistake_of_the_test(self, image_host: ImageHost) -> None:
        with pytest.raises(ValueError, match="no fault 'typo'"):
            image_host.fault_url("typo")


def test_a_test_that_uses_a_server_says_so_by_itself(postgres: LocalPostgres, request: pytest.FixtureRequest) -> None:
    """However it comes to it; ``make test-fast`` leaves it out."""
    assert request.node.get_closest_marker("services")


def test_a_test_that_uses_none_is_among_the_fast_ones(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    assert not request.node.get_closest_marker("services")
