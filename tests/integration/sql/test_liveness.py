"""Who is alive, and who may say that somebody is not: an outage never makes the living look dead."""

from uuid import uuid4

import pytest

from models.generation import SessionStatus
from sandbox.platform.producer import Producer
from tests.support.ledger_audit import ledger_faults
from tests.support.worker_sql import LEASE_SECONDS, Run, Superuser, WorkerSql

HEARTBEAT_SECONDS = LEASE_SECONDS / 4
"""As main.py renews."""


@pytest.fixture(autouse=True)
def nobody_else(root: Superuser) -> None:
    """Executors of other tests would be judged too."""
    root.execute("TRUNCATE wearon_worker.executors, wearon_worker.claims")


class TestHeartbeat:
    def test_it_registers_and_renews_for_the_length_of_the_lease(self, sql: WorkerSql, root: Superuser) -> None:
        executor = uuid4()
        for _ in range(2):
            assert sql.heartbeat(executor, lease_seconds=45.0)
            [(remaining,)] = root.rows(
                "SELECT extract(epoch FROM expires_at - clock_timestamp())::float FROM wearon_worker.executors"
            )
            assert 40 < remaining <= 45
            root.lease_ran_out(executor)

    def test_a_late_renewal_keeps_an_executor_alive_that_nobody_declared_dead(
        self, sql: WorkerSql, root: Superuser, platform: Producer
    ) -> None:
        run = sql.claimed(platform.submit_b2c([], push=False).session)
        root.lease_ran_out(run.executor)
        assert sql.heartbeat(run.executor)
        assert sql.complete(run)["outcome"] == "completed"

    def test_the_dead_stay_dead(self, sql: WorkerSql, root: Superuser, platform: Producer) -> None:
        executor = sql.executor()
        sql.retire(executor)
        assert [sql.heartbeat(executor) for _ in range(2)] == [False, False]
        session = platform.submit_b2c([], push=False).session
        assert sql.claim(Run(session, executor, uuid4()))["outcome"] == "executor_dead"
        assert sql.recover(sql.executor(), holders=[executor]) == {executor}

    @pytest.mark.parametrize(
        ("renewed_seconds_ago", "is_a_gap"),
        [
            (HEARTBEAT_SECONDS, False),
            (LEASE_SECONDS * 0.49, False),
            (LEASE_SECONDS * 0.51, True),
            (LEASE_SECONDS, True),
        ],
    )
    def test_a_renewal_later_than_half_a_lease_begins_a_new_continuous_life(
        self, sql: WorkerSql, root: Superuser, renewed_seconds_ago: float, is_a_gap: bool
    ) -> None:
        executor = sql.executor()
        root.set_clock_of(executor, renewed_seconds_ago=renewed_seconds_ago, continuous_seconds=LEASE_SECONDS * 10)
        sql.heartbeat(executor)
        [(continuous_seconds,)] = root.rows(
            "SELECT extract(epoch FROM clock_timestamp() - continuous_since)::float FROM wearon_worker.executors"
        )
        assert (continuous_seconds < 60) == is_a_gap


class TestJudging:
    def test_a_continuous_judge_declares_dead_whose_lease_ran_out_and_nobody_else(
        self, sql: WorkerSql, root: Superuser, platform: Producer
    ) -> None:
        judge, dead, alive = sql.executor(), sql.executor(), sql.executor()
        runs = {name: sql.claimed(platform.submit_b2c([], push=False).session, name) for name in (dead, alive)}
        root.may_judge(judge)
        root.lease_ran_out(dead)
        assert sql.recover(judge, holders=[dead, alive, judge]) == {dead}
        assert root.claim_row(runs[dead].session)["executor"] is None
        assert platform.session(runs[dead].session).status is SessionStatus.QUEUED
        assert root.claim_row(runs[alive].session)["executor"] == alive
        assert platform.session(runs[alive].session).status is SessionStatus.PROCESSING
        assert sql.recover(judge, holders=[dead, alive]) == {dead}, "a lost reply costs nothing"
        assert ledger_faults(root.connection) == []

    @pytest.mark.parametrize(
        ("renewed_seconds_ago", "continuous_seconds"),
        [
            pytest.param(0, 0, id="just started"),
            pytest.param(0, LEASE_SECONDS - 60, id="not yet continuous for a lease"),
            pytest.param(LEASE_SECONDS * 0.51, LEASE_SECONDS * 10, id="its own last renewals failed"),
            pytest.param(LEASE_SECONDS + 1, LEASE_SECONDS * 10, id="its own lease ran out"),
        ],
    )
    def test_a_judge_that_may_have_been_cut_off_itself_declares_nobody_dead(
        self, sql: WorkerSql, root: Superuser, renewed_seconds_ago: float, continuous_seconds: float
    ) -> None:
        judge, late = sql.executor(), sql.executor()
        root.set_clock_of(judge, renewed_seconds_ago=renewed_seconds_ago, continuous_seconds=continuous_seconds)
        root.lease_ran_out(late)
        assert sql.recover(judge, holders=[late]) == set()
        assert sql.heartbeat(late)

    def test_a_stranger_and_a_dead_judge_declare_nobody_dead(self, sql: WorkerSql, root: Superuser) -> None:
        judge, late = sql.executor(), sql.executor()
        root.may_judge(judge)
        sql.retire(judge)
        root.lease_ran_out(late)
        for nobody in (judge, uuid4()):
            assert sql.recover(nobody, holders=[late]) == set()

    def test_a_judge_does_not_declare_itself_dead(self, sql: WorkerSql, root: Superuser) -> None:
        judge = sql.executor()
        root.may_judge(judge)
        assert sql.recover(judge, holders=[judge]) == set()

    def test_whoever_never_registered_is_dead_to_those_who_find_what_it_left(self, sql: WorkerSql) -> None:
        """An in-flight list whose executor is in no table, after a database was restored from a backup."""
        unknown = uuid4()
        assert sql.recover(sql.executor(), holders=[unknown]) == {unknown}

    def test_a_claim_that_lands_while_its_executor_is_declared_dead_is_released_by_the_next_round(
        self, sql: WorkerSql, root: Superuser, platform: Producer
    ) -> None:
        run = sql.claimed(platform.submit_b2c([], push=False).session)
        root.execute("UPDATE wearon_worker.executors SET dead_at = now() WHERE executor = %s", run.executor)
        assert run.session in sql.unowned()
        sql.recover(sql.executor())
        assert root.claim_row(run.session)["executor"] is None
        assert platform.session(run.session).status is SessionStatus.QUEUED


class TestAnOutage:
    @pytest.mark.parametrize("lease_share", [0.1, 0.3, 0.45, 0.55, 0.7, 0.8, 0.95, 1.1, 10.0])
    @pytest.mark.parametrize("judge_renews_first", [True, False], ids=["after renewing", "before renewing"])
    def test_of_any_length_makes_no_live_executor_look_dead(
        self, sql: WorkerSql, root: Superuser, platform: Producer, lease_share: float, judge_renews_first: bool
    ) -> None:
        """Worst case: the judge renewed just before it began, the other a heartbeat earlier, and its next is late."""
        judge, other = sql.executor(), sql.executor()
        run = sql.claimed(platform.submit_b2c([], push=False).session, other)
        outage_seconds = LEASE_SECONDS * lease_share
        root.set_clock_of(judge, renewed_seconds_ago=outage_seconds)
        root.set_clock_of(other, renewed_seconds_ago=outage_seconds + 2 * HEARTBEAT_SECONDS - 1)

        if judge_renews_first:
            sql.heartbeat(judge)
        assert sql.recover(judge, holders=[other]) == set()

        assert sql.heartbeat(other)
        assert sql.complete(run)["outcome"] == "completed"

    def test_delays_judgement_by_one_lease_and_no_longer(self, sql: WorkerSql, root: Superuser) -> None:
        judge, dead = sql.executor(), sql.executor()
        for executor in (judge, dead):
            root.lease_ran_out(executor)
        sql.heartbeat(judge)
        assert sql.recover(judge, holders=[dead]) == set()
        root.execute(
            "UPDATE wearon_worker.executors SET continuous_since = continuous_since - make_interval(secs => %s)",
            LEASE_SECONDS,
        )
        assert sql.recover(judge, holders=[dead]) == {dead}


class TestRetire:
    def test_it_ends_a_life_at_once_and_hands_back_what_it_held(
        self, sql: WorkerSql, root: Superuser, platform: Producer
    ) -> None:
        executor = sql.executor()
        sessions = [submit([], push=False).session for submit in (platform.submit_b2c, platform.submit_b2b) * 2]
        runs = [sql.claimed(session, executor) for session in sessions]
        sql.complete(runs[0])
        sql.retire(executor)
        assert platform.session(sessions[0]).status is SessionStatus.COMPLETED
        for session in sessions[1:]:
            assert platform.session(session).status is SessionStatus.QUEUED
            assert root.claim_row(session)["executor"] is None
            assert root.claim_row(session)["attempt"] == 1, "a death uses up an attempt"
        after = root.everything()
        sql.retire(executor)
        assert root.everything() == after
        assert ledger_faults(root.connection) == []

    def test_of_an_executor_nobody_knows_changes_nothing(self, sql: WorkerSql, root: Superuser) -> None:
        before = root.everything()
        sql.retire(uuid4())
        assert root.everything() == before


class TestUnownedSessions:
    def test_are_the_open_ones_no_live_executor_holds(
        self, sql: WorkerSql, root: Superuser, platform: Producer
    ) -> None:
        platform.wipe()
        b2c, b2b = (
            [submit([], push=False).session for _ in range(4)] for submit in (platform.submit_b2c, platform.submit_b2b)
        )
        for channel in (b2c, b2b):
            sql.claimed(channel[1])
            dead = sql.claimed(channel[2])
            root.execute("UPDATE wearon_worker.executors SET dead_at = now() WHERE executor = %s", dead.executor)
            sql.fail(channel[3], None)
        assert sql.unowned() == [b2c[0], b2c[2], b2b[0], b2b[2]], "oldest first"

    def test_an_executor_late_with_its_renewal_still_holds_its_sessions(
        self, sql: WorkerSql, root: Superuser, platform: Producer
    ) -> None:
        run = sql.claimed(platform.submit_b2c([], push=False).session)
        root.lease_ran_out(run.executor)
        assert run.session not in sql.unowned()
        assert sql.fail(run.session, None)["outcome"] == "owned"

    def test_one_younger_than_the_grace_is_left_alone(
        self, sql: WorkerSql, root: Superuser, platform: Producer
    ) -> None:
        """Its push may still be on its way."""
        session = platform.submit_b2c([], push=False).session
        assert session not in sql.unowned(grace_seconds=60)
        root.execute("UPDATE generation_sessions SET created_at = now() - interval '61 s'")
        assert session in sql.unowned(grace_seconds=60)

    def test_pages_cover_all_of_them_once_even_when_many_have_the_same_time(
        self, sql: WorkerSql, root: Superuser, platform: Producer
    ) -> None:
        platform.wipe()
        expected = {submit([], push=False).session for submit in (platform.submit_b2c, platform.submit_b2b) * 4}
        for table in ("generation_sessions", "store_generation_sessions"):
            root.execute(f"UPDATE {table} SET created_at = '2026-01-01'")  # noqa: S608 - constants
        seen = []
        after, after_id = "-infinity", "00000000-0000-0000-0000-000000000000"
        while page := sql.call("unowned_sessions", grace_seconds=0.0, after=after, after_id=after_id, limit=3):
            seen += [row["session_id"] for row in page]
            after, after_id = page[-1]["created_at"], page[-1]["session_id"]
        assert sorted(seen) == sorted(session.session_id for session in expected)
