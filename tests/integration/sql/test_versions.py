"""Old and new workers side by side on the newest schema, and a new worker on an older one."""

from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql as query

from models.failures import PlatformUnavailable
from models.generation import SessionStatus
from sandbox.platform.database_clock import DatabaseClock
from sandbox.platform.producer import Producer, StoreMode, Submitted
from sandbox.servers.postgres import LocalPostgres
from sandbox.servers.supabase import BASELINE, REPOSITORY
from services.platform.supabase_client import SCHEMA_VERSION
from tests.support.ledger_audit import ledger_faults
from tests.support.platform_acts import fail, refund
from tests.support.worker_sql import IMAGE_URL, LEASE_SECONDS, Superuser, WorkerSql
from worker.supervision.startup import StartupError, check_database

MIGRATIONS: Final = sorted((REPOSITORY / "supabase" / "migrations").glob("*.sql"))
NEEDED: Final = MIGRATIONS[:SCHEMA_VERSION]
"""By a worker. The later ones leave the version alone: they bring what only the operator asks, and better answers of
the same functions."""


class OldWorker:
    """Calls what the worker of version 1 calls, with its arguments, and takes only the answers that it knows."""

    KNOWN: Final = {
        "claim": {"claimed", "exhausted", "owned", "settled", "missing", "executor_dead"},
        "release": {"released", "lost", "settled", "missing"},
        "complete": {"completed", "lost", "settled", "missing"},
        "fail": {"failed", "lost", "owned", "settled", "missing"},
    }

    def __init__(self, sql: WorkerSql) -> None:
        self._sql = sql
        self.executor = uuid4()
        self.fence = uuid4()
        [row] = sql.call("heartbeat", executor=self.executor, host="old", lease_seconds=LEASE_SECONDS)
        assert row["wearon_worker_heartbeat"] == {"alive": True}

    def _ask(self, function: str, submitted: Submitted, **arguments: object) -> dict[str, Any]:
        session = submitted.session
        [row] = self._sql.call(function, channel=session.channel, session_id=session.session_id, **arguments)
        answer: dict[str, Any] = row[f"wearon_worker_{function}"]
        assert answer["outcome"] in self.KNOWN[function]
        return answer

    def claim(self, submitted: Submitted) -> dict[str, Any]:
        return self._ask("claim", submitted, executor=self.executor, fence=self.fence, attempt_limit=2)

    def release(self, submitted: Submitted) -> dict[str, Any]:
        return self._ask("release", submitted, fence=self.fence, rate_limited=False)

    def complete(self, submitted: Submitted) -> dict[str, Any]:
        return self._ask(
            "complete",
            submitted,
            fence=self.fence,
            generated_image_url=IMAGE_URL,
            processing_time_ms=1,
            input_tokens=1,
            output_tokens=1,
            estimated_cost_usd="0.01",
        )

    def fail(self, submitted: Submitted, *, owns: bool = True) -> dict[str, Any]:
        return self._ask(
            "fail", submitted, fence=self.fence if owns else None, error_message="Sorry.", reason="moderated"
        )


@pytest.fixture
def old(sql: WorkerSql) -> OldWorker:
    return OldWorker(sql)


def submissions(platform: Producer) -> list[tuple[Submitted, str]]:
    """One of each way to pay, and what a failure of it is on record as."""
    resold_once = platform.new_store()
    platform.let_shopper_pay_once(resold_once)
    overage = platform.new_store(StoreMode.OVERAGE)
    return [
        (platform.submit_b2c([], push=False), "user_credit"),
        (platform.submit_b2b([], store=resold_once, push=False), "store_credit"),
        (platform.submit_b2b([], mode=StoreMode.RESELL, push=False), "shopper_credit"),
        (platform.submit_b2b([], store=overage, push=False), "store_overage"),
        (platform.submit_b2b([], store=overage, push=False, overage_line_is_lost=True), "unproven_charge"),
    ]


class TestAnOldWorkerOnTheNewSchema:
    def test_completes_and_releases_in_words_it_knows(
        self, platform: Producer, old: OldWorker, root: Superuser
    ) -> None:
        for submitted, _ in submissions(platform):
            claimed = old.claim(submitted)
            assert claimed == {
                "outcome": "claimed", "owner_id": str(submitted.owner_id), "attempt": 1, "rate_limited": 0
            }  # fmt: skip
            assert old.release(submitted) == {"outcome": "released"}
            assert old.claim(submitted)["attempt"] == 1
            assert [old.complete(submitted) for _ in range(2)] == [{"outcome": "completed"}] * 2
            assert old.claim(submitted) == {"outcome": "settled", "status": "completed"}
        assert ledger_faults(root.connection) == []

    @pytest.mark.parametrize("owns", [True, False], ids=["a run", "recovery"])
    def test_gives_back_to_whoever_paid(self, platform: Producer, old: OldWorker, root: Superuser, owns: bool) -> None:
        for submitted, kind in submissions(platform):
            if owns:
                old.claim(submitted)
            answer = old.fail(submitted, owns=owns)
            assert answer["refund"] == {"kind": kind, "credits": 1}
            assert set(answer) == {"outcome", "request_id", "refund"}
        assert ledger_faults(root.connection) == []

    def test_neither_delivers_nor_gives_back_again_what_the_platform_gave_back(
        self, platform: Producer, old: OldWorker, root: Superuser
    ) -> None:
        for submitted, _ in submissions(platform)[:3]:
            old.claim(submitted)
            refund(root.connection, submitted.session)
            assert old.complete(submitted) == {"outcome": "lost"}
            old.fence = uuid4()
            assert old.claim(submitted)["outcome"] == "exhausted"
            assert old.fail(submitted)["refund"] == {"kind": "already_refunded", "credits": 0}
            fail(root.connection, submitted.session)
        assert ledger_faults(root.connection) == []

    def test_does_not_wait_for_the_platform_s_job_because_it_would_not_know_how(
        self, platform: Producer, old: OldWorker, root: Superuser
    ) -> None:
        submitted = platform.submit_b2c([], push=False)
        root.execute("UPDATE generation_sessions SET created_at = '2026-01-01'")
        with DatabaseClock(root.connection) as clock:
            clock.set(DatabaseClock.WHILE_THE_JOB_RUNS)
            assert old.claim(submitted)["outcome"] == "claimed"
            assert old.complete(submitted)["outcome"] == "completed"

    def test_shares_sessions_with_a_new_one(
        self, platform: Producer, old: OldWorker, sql: WorkerSql, root: Superuser
    ) -> None:
        by_old, by_new = (platform.submit_b2c([], push=False) for _ in range(2))
        old.claim(by_old)
        run = sql.claimed(by_new.session)
        assert sql.fail(by_old.session, None)["outcome"] == "owned"
        assert old.fail(by_new, owns=False)["outcome"] == "owned"
        assert old.claim(by_new)["outcome"] == "owned"
        sql.retire(old.executor)
        taken_over = sql.claimed(by_old.session)
        assert old.complete(by_old) == {"outcome": "lost"}
        assert sql.complete(taken_over)["outcome"] == sql.complete(run)["outcome"] == "completed"
        assert platform.session(by_old.session).status is SessionStatus.COMPLETED
        assert ledger_faults(root.connection) == []


class Database:
    """Answers a worker's question about the schema from a database, as the API does."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def schema_version(self) -> int | None:
        try:
            with WorkerSql(self._dsn) as sql:
                [row] = sql.call("schema_version")
        except psycopg.errors.UndefinedFunction:
            return None
        except psycopg.OperationalError as error:
            raise PlatformUnavailable("wearon_worker_schema_version", str(error)) from error
        version: int = row["wearon_worker_schema_version"]
        return version


@pytest.fixture
def bare(postgres: LocalPostgres, platform: Producer) -> Iterator[str]:
    """The URL of a database that has only what the platform has."""
    name = f"bare_{uuid4().hex}"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(query.SQL("CREATE DATABASE {} TEMPLATE template0").format(query.Identifier(name)))
        dsn = postgres.dsn.rpartition("/")[0] + f"/{name}"
        with Superuser(dsn) as fresh:
            fresh.connection.execute(BASELINE.read_bytes())
        yield dsn
        connection.execute(query.SQL("DROP DATABASE {} WITH (FORCE)").format(query.Identifier(name)))


class TestANewWorker:
    def test_refuses_every_older_schema_in_one_sentence_that_names_both_versions(self, bare: str) -> None:
        for applied, path in enumerate(NEEDED):
            with pytest.raises(StartupError) as refused:
                check_database(Database(bare))  # type: ignore[arg-type]
            words = str(refused.value)
            assert words.startswith(f"This worker needs version {SCHEMA_VERSION} of the worker's migrations, and the")
            assert (f"has version {applied} of them" if applied else "does not have") in words
            assert "apply supabase/migrations/" in words
            assert "\n" not in words
            with Superuser(bare) as fresh:
                fresh.connection.execute(path.read_bytes())
        check_database(Database(bare))  # type: ignore[arg-type]

    def test_takes_a_newer_schema(self, bare: str) -> None:
        with Superuser(bare) as fresh:
            for path in MIGRATIONS:
                fresh.connection.execute(path.read_bytes())
            fresh.execute(
                "CREATE OR REPLACE FUNCTION public.wearon_worker_schema_version() RETURNS integer LANGUAGE sql"
                f" AS 'SELECT {SCHEMA_VERSION + 1}'"
            )
        check_database(Database(bare))  # type: ignore[arg-type]

    def test_refuses_a_schema_over_which_somebody_applied_the_first_file_again(self, bare: str) -> None:
        with Superuser(bare) as fresh:
            for path in (*MIGRATIONS, MIGRATIONS[0]):
                fresh.connection.execute(path.read_bytes())
            with pytest.raises(StartupError, match="has version 1"):
                check_database(Database(bare))  # type: ignore[arg-type]
            for path in MIGRATIONS[1:]:
                fresh.connection.execute(path.read_bytes())
        check_database(Database(bare))  # type: ignore[arg-type]
