"""What an operator asks the database: it only looks, waits for nobody, and needs no column that may be missing."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from models.generation import Channel, SessionRef
from sandbox.platform.jobs import EXPIRED
from sandbox.platform.producer import Producer
from sandbox.servers.postgres import LocalPostgres
from tests.support.platform_acts import refund
from tests.support.worker_sql import Superuser, WorkerSql

LONG_AGO: Final = datetime(2026, 1, 1, tzinfo=UTC)


class Looker:
    """The worker's key in a transaction that may not write, and a lock that somebody holds is an error at once."""

    def __init__(self, dsn: str) -> None:
        options = "-c role=service_role -c default_transaction_read_only=on -c lock_timeout=1"
        self._connection = psycopg.connect(dsn, autocommit=True, row_factory=dict_row, options=options)

    def close(self) -> None:
        self._connection.close()

    def activity(self) -> dict[str, Any]:
        return self._one("SELECT public.wearon_worker_activity(%s) AS answer", LONG_AGO)

    def story(self, session: SessionRef) -> dict[str, Any]:
        return self._one("SELECT public.wearon_worker_story(%s) AS answer", session.session_id)

    def costs(self) -> list[dict[str, Any]]:
        return self._connection.execute("SELECT * FROM public.wearon_worker_costs(%s)", [LONG_AGO]).fetchall()

    def _one(self, query: str, value: object) -> dict[str, Any]:
        row = self._connection.execute(query.encode(), [value]).fetchone()
        assert row is not None
        answer: dict[str, Any] = row["answer"]
        return answer


@pytest.fixture(scope="module")
def looker(platform: Producer, postgres: LocalPostgres) -> Iterator[Looker]:
    looker = Looker(postgres.dsn)
    yield looker
    looker.close()


def test_looking_waits_for_no_worker_that_is_about_to_settle(
    platform: Producer, sql: WorkerSql, looker: Looker
) -> None:
    session = platform.submit_b2c([], push=False).session
    with sql.transaction():
        run = sql.claimed(session)
        sql.complete(run)
        assert looker.story(session)["sessions"][0]["status"] == "queued", "what is not committed is not told"
        assert looker.activity()["completed"] == 0
        assert looker.costs() == []
    assert looker.story(session)["sessions"][0]["status"] == "completed"


def test_a_session_that_nobody_knows_is_an_empty_story(looker: Looker) -> None:
    story = looker.story(SessionRef(Channel.B2C, uuid4()))
    assert {name: value for name, value in story.items() if name != "now"} == {
        "sessions": [], "claims": [], "refunds": [], "ledger": []
    }  # fmt: skip


def test_given_back_by_the_platform_is_told_while_the_row_is_open(
    platform: Producer, root: Superuser, looker: Looker
) -> None:
    for submitted in (platform.submit_b2c([], push=False), platform.submit_b2b([], push=False)):
        assert looker.story(submitted.session)["sessions"][0]["given_back"] is False
        refund(root.connection, submitted.session)
        [row] = looker.story(submitted.session)["sessions"]
        assert (row["status"], row["given_back"]) == ("queued", True)


def test_the_executors_are_the_living_and_the_dead_that_still_hold_something(
    platform: Producer, sql: WorkerSql, root: Superuser, looker: Looker
) -> None:
    alive, dead, dead_holder = sql.executor(), sql.executor(), sql.executor()
    sql.claimed(platform.submit_b2c([], push=False).session, dead_holder)
    root.execute("UPDATE wearon_worker.executors SET dead_at = now() WHERE executor = ANY(%s)", [dead, dead_holder])
    seen = {each["executor"]: each for each in looker.activity()["executors"]}
    assert seen[str(alive)]["alive"] is True
    assert str(dead) not in seen
    assert (seen[str(dead_holder)]["alive"], seen[str(dead_holder)]["claims"]) == (False, 1)


def test_a_worker_whose_lease_ran_out_is_not_alive_though_nobody_was_there_to_declare_it_dead(
    platform: Producer, sql: WorkerSql, root: Superuser, looker: Looker
) -> None:
    """A power loss of the only host."""
    run = sql.claimed(platform.submit_b2c([], push=False).session)
    assert looker.story(run.session)["claims"][0]["alive"] is True
    root.execute(
        "UPDATE wearon_worker.executors SET expires_at = now() - interval '9 hours' WHERE executor = %s", run.executor
    )
    seen = {each["executor"]: each for each in looker.activity()["executors"]}
    assert (seen[str(run.executor)]["alive"], seen[str(run.executor)]["claims"]) == (False, 1)
    assert looker.story(run.session)["claims"][0]["alive"] is False


def test_a_picture_that_the_platform_has_deleted_is_not_told_as_stored(
    platform: Producer, sql: WorkerSql, root: Superuser, looker: Looker
) -> None:
    run = sql.claimed(platform.submit_b2c([], push=False).session)
    sql.complete(run)
    assert looker.story(run.session)["sessions"][0]["has_picture"] is True
    root.execute(
        "UPDATE generation_sessions SET generated_image_url = %s WHERE id = %s", EXPIRED, run.session.session_id
    )
    assert looker.story(run.session)["sessions"][0]["has_picture"] is False


def test_no_answer_has_the_link_to_a_picture(platform: Producer, sql: WorkerSql, looker: Looker) -> None:
    run = sql.claimed(platform.submit_b2b([], push=False).session)
    sql.complete(run)
    assert "token=" not in str(looker.story(run.session)) + str(looker.activity()) + str(looker.costs())


@pytest.fixture
def bare_platform(root: Superuser) -> Iterator[None]:
    """Without the columns that the platform's contract does not name."""
    root.execute("BEGIN")
    for table in ("credit_transactions", "store_credit_transactions"):
        root.execute(f"ALTER TABLE {table} DROP COLUMN created_at, DROP COLUMN id")
    root.execute("ALTER TABLE store_generation_sessions DROP COLUMN metadata")
    yield
    root.execute("ROLLBACK")


def test_columns_that_may_be_missing_are_not_needed(
    platform: Producer, sql: WorkerSql, root: Superuser, request: pytest.FixtureRequest
) -> None:
    run = sql.claimed(platform.submit_b2b([], push=False).session)
    sql.fail(run.session, run.fence)
    request.getfixturevalue("bare_platform")
    [(story,)] = root.rows("SELECT public.wearon_worker_story(%s)", run.session.session_id)
    assert sorted(line["type"] for line in story["ledger"]) == ["deduction", "refund"]
    assert {line["written_at"] for line in story["ledger"]} == {None}
    assert root.rows("SELECT public.wearon_worker_activity(%s)", LONG_AGO)
