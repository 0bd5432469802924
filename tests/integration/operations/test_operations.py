"""What an operator sees and does at the desk, on a real Redis and the real Supabase API; no worker is running."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
import redis

from models.generation import SessionStatus
from operations.__main__ import COMMANDS
from operations.__main__ import main as wearon
from operations.errors import EXIT_DONE, EXIT_MISCONFIGURED, EXIT_REFUSED, EXIT_UNAVAILABLE, EXIT_USAGE
from sandbox.platform.producer import Producer, StoreMode, Submitted
from sandbox.servers.processes import free_port
from sandbox.servers.redis import LocalRedis
from sandbox.servers.supabase import LocalSupabase
from services.platform.reports import MIGRATIONS, Report
from services.queue.task_queue import DEAD_LETTERS_KEY, EXECUTORS_KEY, QUEUE_KEY, TaskQueue, in_flight_key
from services.turns.breaker import ProviderBreaker
from services.turns.window import RateGate
from tests.support.payloads import PERSON_URL, SIGNATURE
from tests.support.platform_acts import refund
from tests.support.worker_sql import IMAGE_URL, Superuser, WorkerSql
from worker.dead_letters import DeadLetter

REPOSITORY: Final = Path(__file__).resolve().parents[3]
PROGRAM_SECONDS: Final = 60
UNUSED_PORT: Final = "1"
"""Nothing listens on it, and nobody but root may."""

READING: Final = ("status", "session", "audit", "cost")


@pytest.fixture(autouse=True)
def configured(
    tmp_path: Path, redis_server: LocalRedis, supabase: LocalSupabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.setenv("SUPABASE_URL", supabase.url)
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", supabase.service_role_key)
    monkeypatch.setenv("PORT", UNUSED_PORT)


@pytest.fixture
def client(platform: Producer, redis_server: LocalRedis) -> Iterator[Any]:
    redis_server.start()
    platform.drop_redis_connections()
    with redis.Redis.from_url(redis_server.url) as connection:
        connection.flushall()
        yield connection


Said = Callable[..., str]


@pytest.fixture
def said(client: Any, capsys: pytest.CaptureFixture[str]) -> Said:
    """What a command prints; it must end with the status."""

    def run(*arguments: str, status: int = EXIT_DONE) -> str:
        capsys.readouterr()
        assert wearon(arguments) == status
        captured = capsys.readouterr()
        return captured.out or captured.err

    return run


@pytest.fixture
def told(said: Said) -> Callable[..., Any]:
    """What a command tells programs."""
    return lambda *arguments, status=EXIT_DONE: json.loads(said(*arguments, "--json", status=status))


def bury(client: Any, submitted: Submitted) -> DeadLetter:
    """The session's task, as the consumer buries one whose run broke."""
    letter = DeadLetter.about(
        submitted.payload.encode(),
        reason="bad_task",
        detail=f"its run ended by KeyError, {PERSON_URL}",
        buried_at=datetime.now(UTC),
        session_ids=(submitted.session.session_id,),
        request_id=None,
    )
    client.lpush(DEAD_LETTERS_KEY, letter.encode())
    return letter


def waiting(client: Any) -> list[bytes]:
    """The queue, what is taken next first."""
    return list(reversed(client.lrange(QUEUE_KEY, 0, -1)))


class StrangerHandler(BaseHTTPRequestHandler):
    """Answers JSON to whatever is asked, as many services do."""

    def do_GET(self) -> None:
        body = b'{"status": "ok", "hello": {"world": 1}}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def stranger() -> Iterator[int]:
    """The port of a service that is no worker."""
    with ThreadingHTTPServer(("127.0.0.1", 0), StrangerHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


class TestStatus:
    """``wearon status``. Without a worker it ends with 69, and says the rest."""

    def test_the_queue_and_how_long_its_next_task_has_waited(
        self, platform: Producer, client: Any, told: Callable[..., Any], said: Said
    ) -> None:
        platform.submit_b2c([PERSON_URL])
        platform.submit_b2c([PERSON_URL])
        queue = told("status", status=EXIT_UNAVAILABLE)["queue"]
        assert queue["waiting"] == 2
        assert 0 <= queue["oldest_seconds"] < PROGRAM_SECONDS
        assert "2 waiting, the oldest for" in said("status", status=EXIT_UNAVAILABLE)

    def test_an_element_that_is_no_task_and_one_that_is_too_long_do_not_stop_it(self, client: Any, said: Said) -> None:
        client.rpush(QUEUE_KEY, b"garbage")
        assert "1 waiting; the next is no task that says its time" in said("status", status=EXIT_UNAVAILABLE)
        client.rpush(QUEUE_KEY, b"x" * 1_000_000)
        assert "2 waiting; the next is no task that says its time" in said("status", status=EXIT_UNAVAILABLE)

    def test_in_flight_by_executor_with_what_the_database_knows_of_it(
        self, platform: Producer, client: Any, sql: WorkerSql, told: Callable[..., Any]
    ) -> None:
        alive = sql.claimed(platform.submit_b2c([], push=False).session).executor
        stranger = uuid4()
        for executor in (alive, stranger):
            client.sadd(EXECUTORS_KEY, str(executor))
            client.lpush(in_flight_key(executor), b"1", b"2")
        status = told("status", status=EXIT_UNAVAILABLE)
        assert status["queue"]["in_flight"] == {str(alive): 2, str(stranger): 2}
        [seen] = [each for each in status["activity"]["executors"] if each["executor"] == str(alive)]
        assert (seen["host"], seen["alive"], seen["claims"]) == ("test", True, 1)

    def test_a_stranger_on_the_worker_s_port_does_not_hide_the_rest(
        self, client: Any, told: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with stranger() as port:
            monkeypatch.setenv("PORT", str(port))
            status = told("status")
        assert status["models"]["are_known"] is False
        assert status["queue"]["waiting"] == 0

    def test_a_pause_of_the_provider_s_calls_and_the_turns_that_are_used(
        self, client: Any, said: Said, told: Callable[..., Any]
    ) -> None:
        gate = RateGate(client, turns_per_window=300)
        for _ in range(3):
            gate.acquire(lambda: False)
        assert "go on; 3 of 300 turns" in said("status", status=EXIT_UNAVAILABLE)
        ProviderBreaker(client).open("quota_exhausted")
        assert "PAUSED on all hosts: quota_exhausted; the next call probes in" in said(
            "status", status=EXIT_UNAVAILABLE
        )
        pause = told("status", status=EXIT_UNAVAILABLE)["queue"]["pause"]
        assert (pause["reason"], pause["is_probing"]) == ("quota_exhausted", False)
        assert 0 < pause["seconds_left"] <= 60

    def test_the_last_hour_and_not_the_one_before(
        self, platform: Producer, sql: WorkerSql, root: Superuser, told: Callable[..., Any]
    ) -> None:
        before = told("status", status=EXIT_UNAVAILABLE)["activity"]
        assert sql.complete(sql.claimed(platform.submit_b2b([], push=False).session))["outcome"] == "completed"
        failed = sql.claimed(platform.submit_b2c([], push=False).session)
        sql.fail(failed.session, failed.fence, reason="moderated")
        old = sql.claimed(platform.submit_b2c([], push=False).session)
        sql.complete(old)
        root.execute(
            "UPDATE wearon_worker.claims SET settled_at = now() - interval '61 minutes' WHERE session_id = %s",
            old.session.session_id,
        )
        hour = told("status", status=EXIT_UNAVAILABLE)["activity"]
        assert hour["completed"] == before["completed"] + 1
        assert hour["failed"]["moderated"] == before["failed"].get("moderated", 0) + 1
        assert hour["processing_p50_seconds"] == 21.5
        assert 0 <= hour["whole_p50_seconds"] <= hour["whole_p95_seconds"] < PROGRAM_SECONDS

    def test_the_worker_that_does_not_answer_is_named(self, said: Said) -> None:
        text = said("status", status=EXIT_UNAVAILABLE)
        assert "worker        no worker answers at 127.0.0.1:1 (Connection refused)" in text


class TestSession:
    """``wearon session``."""

    def test_the_story_of_a_completed_one(
        self, platform: Producer, sql: WorkerSql, said: Said, told: Callable[..., Any]
    ) -> None:
        submitted = platform.submit_b2b([], mode=StoreMode.RESELL, push=False)
        sql.complete(sql.claimed(submitted.session))
        session_id = str(submitted.session.session_id)
        text = said("session", session_id)
        for words in (
            "row           completed (b2b)",
            f"store {submitted.owner_id}, request {submitted.request_id}",
            "picture stored, about 0.0422 USD (3200 tokens in, 1056 out)",
            "ledger        deduction -1, a shopper's balance",
            "run           completed at ",
            "replay        no. It is completed",
            f"| grep {session_id}",
        ):
            assert words in text
        assert len(text.splitlines()) < 24, "one screen"
        story = told("session", session_id)["story"]
        assert story["sessions"][0]["estimated_cost_usd"] == "0.042250"
        assert story["claims"][0]["outcome"] == "completed"

    def test_the_story_of_a_failed_one(self, platform: Producer, sql: WorkerSql, said: Said) -> None:
        run = sql.claimed(platform.submit_b2c([], push=False).session)
        sql.fail(run.session, run.fence, reason="moderated")
        text = said("session", str(run.session.session_id))
        assert 'told: "Something went wrong. You have not been charged."' in text
        assert "1 credit charged, given back" in text
        assert "ledger        refund +1, the user's balance" in text
        assert "refund        user_credit, 1 credit, " in text
        assert "because: moderated" in text
        assert "replay        no. It has failed (moderated), and 1 credit went back" in text

    def test_who_runs_it_and_where_its_task_is(
        self, platform: Producer, client: Any, sql: WorkerSql, said: Said, told: Callable[..., Any]
    ) -> None:
        submitted = platform.submit_b2c([PERSON_URL])
        session_id = str(submitted.session.session_id)
        assert "task          waits in the queue" in said("session", session_id)
        run = sql.claimed(submitted.session)
        client.sadd(EXECUTORS_KEY, str(run.executor))
        client.lmove(QUEUE_KEY, in_flight_key(run.executor), "RIGHT", "LEFT")
        text = said("session", session_id)
        short = str(run.executor)[:8]
        assert f"run           executor {short} on test (alive) since" in text
        assert f"task          in flight at executor {short}" in text
        assert told("session", session_id)["task"]["in_flight"] == [str(run.executor)]

    def test_nobody_knows_it(self, said: Said) -> None:
        assert "no such session in the database" in said("session", str(uuid4()), status=EXIT_REFUSED)

    def test_its_id_in_capitals_is_the_same(self, platform: Producer, said: Said) -> None:
        session_id = str(platform.submit_b2c([], push=False).session.session_id)
        assert session_id in said("session", session_id.upper())


class TestReplay:
    """``wearon replay``."""

    def test_an_open_session_whose_task_is_in_a_letter_is_taken_next(
        self, platform: Producer, client: Any, said: Said
    ) -> None:
        client.lpush(QUEUE_KEY, b"waiting")
        submitted = platform.submit_b2c([PERSON_URL], push=False)
        letter = bury(client, submitted)
        session_id = str(submitted.session.session_id)
        assert f"it may run again: wearon replay {session_id}" in said("session", session_id)
        assert said("replay", session_id).startswith("Replayed: the task is taken next")
        assert waiting(client) == [submitted.payload.encode(), b"waiting"]
        assert client.llen(DEAD_LETTERS_KEY) == 0
        assert "waits in the queue already" in said("replay", session_id, status=EXIT_REFUSED)
        assert letter.letter_id not in said("dead-letters", "list")

    def test_programs_learn_which_letter(self, platform: Producer, client: Any, told: Callable[..., Any]) -> None:
        submitted = platform.submit_b2b([PERSON_URL], push=False)
        letter = bury(client, submitted)
        session_id = str(submitted.session.session_id)
        assert told("replay", session_id) == {"replayed": session_id, "letter": letter.letter_id}

    def test_what_is_settled_or_given_back_or_held_is_refused_and_nothing_moves(
        self, platform: Producer, client: Any, sql: WorkerSql, root: Superuser, said: Said
    ) -> None:
        refused: dict[str, Submitted] = {}
        for why in ("the credit is spent", "It has failed", "given back already", "runs it now"):
            refused[why] = platform.submit_b2c([PERSON_URL], push=False)
            bury(client, refused[why])
        sql.complete(sql.claimed(refused["the credit is spent"].session))
        sql.fail(refused["It has failed"].session, None)
        refund(root.connection, refused["given back already"].session)
        sql.claimed(refused["runs it now"].session)
        before = root.everything()
        for why, submitted in refused.items():
            assert why in said("replay", str(submitted.session.session_id), status=EXIT_REFUSED)
        assert (waiting(client), client.llen(DEAD_LETTERS_KEY)) == ([], len(refused))
        assert root.everything() == before

    def test_a_session_without_a_task_has_nothing_to_run(self, platform: Producer, said: Said) -> None:
        session_id = str(platform.submit_b2c([], push=False).session.session_id)
        assert "only the task says which pictures to use" in said("replay", session_id, status=EXIT_REFUSED)

    def test_of_two_who_replay_the_same_letter_one_puts_it_back(self, platform: Producer, client: Any) -> None:
        submitted = platform.submit_b2c([PERSON_URL], push=False)
        letter = bury(client, submitted)
        queue = TaskQueue(client)
        assert [queue.replay(letter.encode(), submitted.payload.encode()) for _ in range(2)] == [True, False]
        assert waiting(client) == [submitted.payload.encode()]

    def test_a_redis_that_is_full_keeps_the_letter(self, platform: Producer, client: Any, said: Said) -> None:
        submitted = platform.submit_b2c([PERSON_URL], push=False)
        bury(client, submitted)
        client.config_set("maxmemory", "1")
        try:
            assert "OOM" in said("replay", str(submitted.session.session_id), status=EXIT_UNAVAILABLE)
        finally:
            client.config_set("maxmemory", "0")
        assert (waiting(client), client.llen(DEAD_LETTERS_KEY)) == ([], 1)


class TestAudit:
    """``wearon audit``: the exit status is the answer."""

    def test_right_books_end_with_0_and_wrong_ones_with_1(
        self, platform: Producer, sql: WorkerSql, root: Superuser, said: Said, told: Callable[..., Any]
    ) -> None:
        platform.wipe()
        fine = sql.claimed(platform.submit_b2b([], push=False).session)
        sql.complete(fine)
        assert "The credits are right" in said("audit")
        assert told("audit", "--since", "1h")["is_right"] is True
        lost = platform.submit_b2b([], push=False)
        platform.set_status(lost.session, SessionStatus.FAILED)
        text = said("audit", "--since", "24h", status=EXIT_REFUSED)
        assert "lost" in text
        assert str(lost.session.session_id) in text
        faults = told("audit", status=EXIT_REFUSED)["faults"]
        assert {"rule": "lost", "session_id": str(lost.session.session_id)}.items() <= faults[0].items()
        platform.wipe()


class TestCost:
    """``wearon cost``."""

    def test_the_estimates_of_the_completed_sessions_by_day_and_channel(
        self, platform: Producer, sql: WorkerSql, root: Superuser, said: Said, told: Callable[..., Any]
    ) -> None:
        platform.wipe()
        for submitted in (
            platform.submit_b2b([], push=False),
            *(platform.submit_b2c([], push=False) for _ in range(2)),
        ):
            sql.complete(sql.claimed(submitted.session))
        unpriced = sql.claimed(platform.submit_b2c([], push=False).session)
        sql.complete(unpriced)
        root.execute(
            "UPDATE generation_sessions SET estimated_cost_usd = NULL WHERE id = %s", unpriced.session.session_id
        )
        platform.submit_b2c([], push=False)
        answer = told("cost", "--since", "1h")
        assert answer["estimated_cost_usd"] == "0.126750"
        assert sum(day["pictures"] for day in answer["days"]) == 4
        text = said("cost")
        assert "4 pictures since" in text
        assert "about 0.13 USD, 0.0422 each (estimate)" in text
        assert "1 picture without an estimate" in text
        platform.wipe()
        assert "No picture was completed" in said("cost")


@pytest.mark.parametrize("command", READING)
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_looking_changes_nothing_in_redis_or_the_database(
    platform: Producer, client: Any, root: Superuser, command: str, form: tuple[str, ...]
) -> None:
    submitted = platform.submit_b2c([PERSON_URL])
    bury(client, submitted)

    def state() -> list[Any]:
        return [
            root.everything(),
            sorted((key, client.type(key), client.pttl(key), client.dump(key)) for key in client.scan_iter()),
        ]

    before = state()
    arguments = [str(submitted.session.session_id)] if command == "session" else []
    assert wearon([command, *arguments, *form]) in {EXIT_DONE, EXIT_UNAVAILABLE, EXIT_REFUSED}
    assert state() == before


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_no_link_no_key_and_no_password_is_ever_shown(
    platform: Producer, client: Any, sql: WorkerSql, capsys: pytest.CaptureFixture[str], form: tuple[str, ...]
) -> None:
    submitted = platform.submit_b2c([PERSON_URL])
    bury(client, submitted)
    done = sql.claimed(platform.submit_b2c([], push=False).session)
    sql.complete(done)
    for arguments in (
        ["status"],
        ["session", str(submitted.session.session_id)],
        ["session", str(done.session.session_id)],
        ["audit"],
        ["cost"],
        ["dead-letters", "list"],
    ):
        wearon([*arguments, *form])
    shown = "".join(capsys.readouterr())
    assert "bad_task" in shown
    for secret in (SIGNATURE, IMAGE_URL, "token=t", os.environ["SUPABASE_SERVICE_ROLE_KEY"]):
        assert secret not in shown


class TestNotReachable:
    def test_redis_is_named_and_the_database_s_part_is_shown(
        self, platform: Producer, monkeypatch: pytest.MonkeyPatch, said: Said, told: Callable[..., Any]
    ) -> None:
        session_id = str(platform.submit_b2c([], push=False).session.session_id)
        monkeypatch.setenv("REDIS_URL", "redis://:hunter22@127.0.0.1:1/0")
        for arguments in (["status"], ["session", session_id]):
            text = said(*arguments, status=EXIT_UNAVAILABLE)
            assert 'Redis at 127.0.0.1 did not do what was asked ("Error 111 connecting to 127.0.0.1:1' in text
            assert "queued" in text
            assert "hunter22" not in text
        assert "Redis at 127.0.0.1" in told("status", status=EXIT_UNAVAILABLE)["silent"]["redis"]

    def test_the_database_is_named_and_redis_s_part_is_shown(
        self, platform: Producer, monkeypatch: pytest.MonkeyPatch, said: Said
    ) -> None:
        platform.submit_b2c([PERSON_URL])
        monkeypatch.setenv("SUPABASE_URL", f"http://127.0.0.1:{free_port()}")
        text = said("status", status=EXIT_UNAVAILABLE)
        assert 'Supabase at 127.0.0.1 did not answer as it should ("ConnectError' in text
        assert "1 waiting" in text
        for command in (["session", str(uuid4())], ["replay", str(uuid4())], ["audit"], ["cost"]):
            assert "Check SUPABASE_URL." in said(*command, status=EXIT_UNAVAILABLE)

    def test_a_wrong_key_is_told_from_a_server_that_is_away(self, monkeypatch: pytest.MonkeyPatch, said: Said) -> None:
        monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "sb_secret_of_another_project")
        text = said("audit", status=EXIT_UNAVAILABLE)
        assert "lets nobody in with this key" in text
        assert "sb_secret_of_another_project" not in text

    @pytest.mark.parametrize(
        ("command", "function", "signature"),
        [
            ("cost", "wearon_worker_costs", "timestamptz"),
            ("status", "wearon_worker_activity", "timestamptz"),
            ("session", "wearon_worker_story", "uuid"),
        ],
    )
    def test_a_migration_that_was_not_applied_is_named(
        self, root: Superuser, said: Said, command: str, function: str, signature: str
    ) -> None:
        root.execute(f"ALTER FUNCTION public.{function}({signature}) RENAME TO {function}_hidden")
        try:
            text = said(command, *([str(uuid4())] if command == "session" else []), status=EXIT_UNAVAILABLE)
        finally:
            root.execute(f"ALTER FUNCTION public.{function}_hidden({signature}) RENAME TO {function}")
        assert f"does not have the function {function}: apply" in text
        assert "supabase/migrations/20261129000000_wearon_worker_operations.sql" in text

    def test_every_migration_that_is_named_is_there(self) -> None:
        assert set(MIGRATIONS) == set(Report)
        for report, name in MIGRATIONS.items():
            text = (REPOSITORY / "supabase" / "migrations" / name).read_text()
            assert f"function public.{report}(" in text


class TestSettings:
    @pytest.mark.parametrize(
        ("command", "needed"),
        [
            (["status"], {"REDIS_URL", "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"}),
            (["session", str(UUID(int=1))], {"REDIS_URL", "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"}),
            (["replay", str(UUID(int=1))], {"REDIS_URL", "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"}),
            (["audit"], {"SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"}),
            (["cost"], {"SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"}),
            (["dead-letters", "list"], {"REDIS_URL"}),
        ],
    )
    def test_a_command_asks_for_those_it_uses(
        self, monkeypatch: pytest.MonkeyPatch, said: Said, command: list[str], needed: set[str]
    ) -> None:
        for name in ("REDIS_URL", "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"):
            monkeypatch.delenv(name)
        lines = said(*command, status=EXIT_MISCONFIGURED).splitlines()
        assert {line.split()[0] for line in lines} == needed

    @pytest.mark.parametrize("since", ["yesterday", "2099-01-01"])
    def test_a_since_that_is_no_time_is_wrong_usage(self, capsys: pytest.CaptureFixture[str], since: str) -> None:
        with pytest.raises(SystemExit) as ended:
            wearon(["cost", "--since", since])
        assert ended.value.code == 2
        assert repr(since) in capsys.readouterr().err


class TestAsAProgram:
    """``bin/wearon``, from anywhere."""

    @staticmethod
    def run(cwd: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return subprocess.run(
            [REPOSITORY / "bin" / "wearon", *arguments],
            cwd=cwd,
            env={"PATH": path, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PROGRAM_SECONDS,
            check=False,
        )

    def test_it_explains_itself_with_every_command(self, tmp_path: Path) -> None:
        ended = self.run(tmp_path, "--help")
        assert (ended.returncode, ended.stderr) == (0, "")
        for entry in COMMANDS:
            assert f"    {entry.name}" in ended.stdout

    @pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
    def test_every_command_teaches_by_example(self, entry: Any, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            wearon([entry.name, "--help"])
        text = capsys.readouterr().out
        assert ended.value.code == 0
        assert "examples:" in text
        assert f"  wearon {entry.name}" in text
        assert max(len(line) for line in text.splitlines()) <= 120

    def test_a_pipe_gets_no_colours_and_the_exit_status_says_what_happened(
        self, tmp_path: Path, client: Any, redis_server: LocalRedis, supabase: LocalSupabase
    ) -> None:
        environment = {
            "REDIS_URL": redis_server.url,
            "SUPABASE_URL": supabase.url,
            "SUPABASE_SERVICE_ROLE_KEY": supabase.service_role_key,
            "PORT": UNUSED_PORT,
            "TERM": "xterm",
        }
        ended = self.run(tmp_path, "status", **environment)
        assert (ended.returncode, ended.stderr) == (EXIT_UNAVAILABLE, "")
        assert "queue         empty" in ended.stdout
        assert "\x1b" not in ended.stdout

    def test_health_loads_no_client_and_needs_no_setting(self) -> None:
        loaded = (
            "import sys; from operations.__main__ import main; main(['health', '--port', '1']); print(*sys.modules)"
        )
        ended = subprocess.run(
            [sys.executable, "-c", loaded],
            cwd=REPOSITORY,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=PROGRAM_SECONDS,
            check=True,
        )
        line, modules = ended.stdout.splitlines()
        assert line == "no worker answers at 127.0.0.1:1 (Connection refused)"
        assert not {"redis", "supabase", "pydantic", "httpx", "structlog"} & set(modules.split())

    def test_without_a_command_it_explains_itself(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert wearon([]) == EXIT_USAGE
        assert "examples:" in capsys.readouterr().out

    def test_a_reader_that_goes_away_is_no_error(self) -> None:
        shell = f"{REPOSITORY}/bin/wearon --help | true"
        ended = subprocess.run(
            ["/bin/sh", "-c", shell], capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False
        )
        assert ended.stderr == ""
