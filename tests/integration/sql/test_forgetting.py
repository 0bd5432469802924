"""What nobody needs any more is deleted in small steps; refunds and whatever is open stay."""

from collections.abc import Callable
from typing import Final
from uuid import UUID

import pytest

from models.generation import SessionRef
from sandbox.platform.producer import Producer
from tests.support.worker_sql import Superuser, WorkerSql

MANY: Final = 100


@pytest.fixture(autouse=True)
def nothing_else(platform: Producer) -> None:
    platform.wipe()


def forget(sql: WorkerSql, limit: int = MANY) -> dict[str, int]:
    [row] = sql.call("forget", limit=limit)
    answer: dict[str, int] = row["wearon_worker_forget"]
    return answer


def passes(root: Superuser, days: float) -> None:
    """Everything of the worker and every session is so much older now."""
    root.execute(
        "UPDATE wearon_worker.claims SET claimed_at = claimed_at - %s * interval '1 day',"
        " settled_at = settled_at - %s * interval '1 day'",
        *[days] * 2,
    )
    for table, column in (
        ("wearon_worker.executors", "dead_at"),
        ("wearon_worker.refunds", "refunded_at"),
        ("generation_sessions", "created_at"),
        ("store_generation_sessions", "created_at"),
    ):
        root.execute(f"UPDATE {table} SET {column} = {column} - %s * interval '1 day'", days)  # noqa: S608 - constants


def claims(root: Superuser) -> set[UUID]:
    return {session_id for (session_id,) in root.rows("SELECT session_id FROM wearon_worker.claims")}


def completed(platform: Producer, sql: WorkerSql, _: Superuser) -> SessionRef:
    session = platform.submit_b2c([], push=False).session
    sql.complete(sql.claimed(session))
    return session


def failed(platform: Producer, sql: WorkerSql, _: Superuser) -> SessionRef:
    session = platform.submit_b2b([], push=False).session
    sql.fail(session, None)
    return session


def settled_by_the_platform(platform: Producer, sql: WorkerSql, root: Superuser) -> SessionRef:
    session = sql.claimed(platform.submit_b2c([], push=False).session).session
    root.execute("UPDATE generation_sessions SET status = 'failed' WHERE id = %s", session.session_id)
    return session


def gone(platform: Producer, sql: WorkerSql, root: Superuser) -> SessionRef:
    session = sql.claimed(platform.submit_b2c([], push=False).session).session
    root.execute("DELETE FROM generation_sessions WHERE id = %s", session.session_id)
    return session


def never_run(platform: Producer, sql: WorkerSql, root: Superuser) -> SessionRef:
    """A claim without a time: somebody only asked."""
    session = platform.submit_b2b([], push=False).session
    root.execute("INSERT INTO wearon_worker.claims (channel, session_id) VALUES ('b2b', %s)", session.session_id)
    root.execute("UPDATE store_generation_sessions SET status = 'failed' WHERE id = %s", session.session_id)
    return session


OVER: Final[tuple[Callable[[Producer, WorkerSql, Superuser], SessionRef], ...]] = (
    completed,
    failed,
    settled_by_the_platform,
    gone,
    never_run,
)


class TestClaims:
    @pytest.mark.parametrize("over", OVER, ids=lambda each: each.__name__)
    def test_of_what_is_over_go_after_thirty_days(
        self,
        platform: Producer,
        sql: WorkerSql,
        root: Superuser,
        over: Callable[[Producer, WorkerSql, Superuser], SessionRef],
    ) -> None:
        session = over(platform, sql, root)
        passes(root, 29.9)
        assert forget(sql)["claims"] == 0
        assert claims(root) == {session.session_id}
        passes(root, 0.2)
        assert forget(sql)["claims"] == 1
        assert claims(root) == set()

    @pytest.mark.parametrize("status", ["pending", "queued", "processing"])
    def test_of_an_open_session_stay_for_ever(
        self, platform: Producer, sql: WorkerSql, root: Superuser, status: str
    ) -> None:
        session = sql.claimed(platform.submit_b2c([], push=False).session).session
        root.execute("UPDATE generation_sessions SET status = %s WHERE id = %s", status, session.session_id)
        passes(root, 1_000)
        assert forget(sql)["claims"] == 0
        assert claims(root) == {session.session_id}

    def test_go_a_few_at_a_time_and_the_oldest_first(self, platform: Producer, sql: WorkerSql, root: Superuser) -> None:
        sessions = []
        for _ in range(5):
            sessions.append(completed(platform, sql, root).session_id)
            passes(root, 1)
        passes(root, 40)
        assert [forget(sql, limit=2)["claims"] for _ in range(2)] == [2, 2]
        assert claims(root) == {sessions[-1]}
        assert [forget(sql, limit=2)["claims"] for _ in range(2)] == [1, 0]

    def test_and_a_session_put_back_after_that_is_not_paid_for_again(
        self, platform: Producer, sql: WorkerSql, root: Superuser
    ) -> None:
        session = failed(platform, sql, root)
        passes(root, 40)
        forget(sql)
        root.execute("UPDATE store_generation_sessions SET status = 'queued' WHERE id = %s", session.session_id)
        before = platform.balances()
        assert sql.fail(session, None)["refund"] == {"kind": "already_refunded", "credits": 0}
        assert platform.balances() == before


class TestExecutors:
    def test_that_are_dead_go_after_seven_days_and_the_living_stay(self, sql: WorkerSql, root: Superuser) -> None:
        living, dead = sql.executor(), sql.executor()
        sql.retire(dead)
        passes(root, 6.9)
        assert forget(sql)["executors"] == 0
        passes(root, 0.2)
        assert forget(sql)["executors"] == 1
        assert root.rows("SELECT executor FROM wearon_worker.executors") == [(living,)]

    def test_whose_list_is_still_found_in_redis_are_dead_to_whoever_finds_it(
        self, sql: WorkerSql, root: Superuser
    ) -> None:
        dead = sql.executor()
        sql.retire(dead)
        passes(root, 8)
        forget(sql)
        assert sql.recover(sql.executor(), holders=[dead]) == {dead}

    def test_that_still_hold_a_claim_stay_until_it_is_taken_from_them(
        self, platform: Producer, sql: WorkerSql, root: Superuser
    ) -> None:
        run = sql.claimed(platform.submit_b2c([], push=False).session)
        root.execute("UPDATE wearon_worker.executors SET dead_at = now() - interval '8 days'")
        assert forget(sql)["executors"] == 0
        sql.recover(sql.executor())
        assert forget(sql)["executors"] == 1
        assert run.session in sql.unowned()


def test_refunds_stay_for_ever(platform: Producer, sql: WorkerSql, root: Superuser) -> None:
    failed(platform, sql, root)
    passes(root, 10_000)
    forget(sql)
    assert len(root.refunds()) == 1
