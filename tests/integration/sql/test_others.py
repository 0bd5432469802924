"""Others refund and fail the worker's sessions in two steps, without looking: between them nothing goes wrong here."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import psycopg
import pytest

from models.generation import Channel, SessionRef, SessionStatus
from sandbox.platform.database_clock import MIDNIGHT, DatabaseClock
from sandbox.platform.producer import Producer, StoreMode, Submitted
from sandbox.servers.postgres import LocalPostgres
from tests.support.ledger_audit import ledger_faults
from tests.support.platform_acts import fail, give_up, refund
from tests.support.worker_sql import Answer, Run, Superuser, WorkerSql

BALANCE: Final = 10
LOCK_WAITS: Final = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

Submit = Callable[[Producer], Submitted]


def user(platform: Producer) -> Submitted:
    return platform.submit_b2c([], push=False)


def store(platform: Producer) -> Submitted:
    return platform.submit_b2b([], push=False)


def shopper(platform: Producer) -> Submitted:
    return platform.submit_b2b([], mode=StoreMode.RESELL, push=False)


every_payer = pytest.mark.parametrize("submit", [user, store, shopper], ids=lambda submit: submit.__name__)


def refunds_in_ledger(platform: Producer, submitted: Submitted) -> int:
    return sum(line.type == "refund" and line.owner_id == submitted.owner_id for line in platform.ledger())


def fences(run: Run) -> dict[str, object]:
    return {"channel": run.session.channel.value, "session_id": run.session.session_id, "fence": run.fence}


class TestBetweenTheTwoSteps:
    @every_payer
    def test_a_session_that_fails_is_only_marked(
        self, platform: Producer, sql: WorkerSql, root: Superuser, submit: Submit
    ) -> None:
        """Eight of eight were refunded twice."""
        for _ in range(8):
            submitted = submit(platform)
            run = sql.claimed(submitted.session)
            refund(root.connection, submitted.session)
            answer = sql.fail(submitted.session, run.fence)
            assert answer["refund"] == {"kind": "already_refunded", "credits": 0}
            assert platform.session(submitted.session).status is SessionStatus.FAILED
            fail(root.connection, submitted.session)
            assert refunds_in_ledger(platform, submitted) == 1
        assert {row["by_platform"] for row in root.refunds()[-8:]} == {True}
        assert ledger_faults(root.connection) == []

    @every_payer
    def test_a_picture_that_is_ready_is_not_delivered_and_the_row_is_left_to_the_second_step(
        self, platform: Producer, sql: WorkerSql, root: Superuser, submit: Submit
    ) -> None:
        """Eight of eight were delivered and refunded."""
        for _ in range(8):
            submitted = submit(platform)
            run = sql.claimed(submitted.session)
            refund(root.connection, submitted.session)
            assert [sql.complete(run) for _ in range(2)] == [{"outcome": "refunded"}] * 2
            row = platform.session(submitted.session)
            assert (row.status, row.generated_image_url) == (SessionStatus.PROCESSING, None)
            fail(root.connection, submitted.session)
            assert refunds_in_ledger(platform, submitted) == 1
        assert ledger_faults(root.connection) == []

    @every_payer
    def test_nothing_is_begun(self, platform: Producer, sql: WorkerSql, root: Superuser, submit: Submit) -> None:
        submitted = submit(platform)
        refund(root.connection, submitted.session)
        run = Run(submitted.session, sql.executor(), uuid4())
        answers = [sql.claim(run) for _ in range(2)]
        assert [answer["outcome"] for answer in answers] == ["refunded"] * 2
        assert answers[0] == answers[1]
        assert platform.session(submitted.session).status is SessionStatus.QUEUED, "nobody is told that it runs"
        assert sql.fail(submitted.session, run.fence)["refund"]["credits"] == 0
        assert ledger_faults(root.connection) == []

    @every_payer
    def test_recovery_ends_what_the_second_step_never_came_to_and_gives_nothing_back(
        self, platform: Producer, sql: WorkerSql, root: Superuser, submit: Submit
    ) -> None:
        submitted = submit(platform)
        run = sql.claimed(submitted.session)
        refund(root.connection, submitted.session)
        assert sql.complete(run) == {"outcome": "refunded"}
        assert submitted.session in sql.unowned(), "nobody holds it any more"
        assert sql.fail(submitted.session, None, reason="task_lost")["refund"]["kind"] == "already_refunded"
        assert refunds_in_ledger(platform, submitted) == 1
        assert ledger_faults(root.connection) == []

    @every_payer
    def test_after_both_the_session_is_settled(
        self, platform: Producer, sql: WorkerSql, root: Superuser, submit: Submit
    ) -> None:
        submitted = submit(platform)
        run = sql.claimed(submitted.session)
        assert give_up(root.connection, submitted.session)
        assert sql.complete(run) == {"outcome": "settled", "status": "failed"}
        assert sql.fail(submitted.session, run.fence) == {"outcome": "settled", "status": "failed"}
        assert ledger_faults(root.connection) == []

    def test_another_session_of_the_same_person_is_not_taken_for_refunded(
        self, platform: Producer, sql: WorkerSql, root: Superuser
    ) -> None:
        person = platform.new_user()
        timed_out, fine, failing = (platform.submit_b2c([], user_id=person, push=False).session for _ in range(3))
        runs = [sql.claimed(session) for session in (fine, failing)]
        refund(root.connection, timed_out)
        assert sql.complete(runs[0])["outcome"] == "completed"
        assert sql.fail(failing, runs[1].fence)["refund"] == {"kind": "user_credit", "credits": 1}
        fail(root.connection, timed_out)
        assert ledger_faults(root.connection) == []

    def test_a_refund_to_somebody_else_that_names_the_session_is_not_the_payer_s(
        self, platform: Producer, sql: WorkerSql, root: Superuser
    ) -> None:
        submitted, stranger = user(platform), platform.new_user()
        run = sql.claimed(submitted.session)
        words = f"session {submitted.session.session_id}"
        root.execute("SELECT refund_credits(%s, 1, %s)", stranger, words)
        assert sql.fail(submitted.session, run.fence)["refund"] == {"kind": "user_credit", "credits": 1}
        [fault] = ledger_faults(root.connection)
        assert str(stranger) in fault, "and the audit tells of it"
        root.execute("UPDATE credit_transactions SET type = 'signup_bonus' WHERE description = %s", words)
        assert ledger_faults(root.connection) == []

    @pytest.mark.parametrize("words", ["Recovered {id}", "STUCK JOB RECOVERY: SESSION {ID} TIMED OUT", "{id}"])
    def test_however_the_job_words_its_line(
        self, platform: Producer, sql: WorkerSql, root: Superuser, words: str
    ) -> None:
        submitted = user(platform)
        run = sql.claimed(submitted.session)
        session_id = str(submitted.session.session_id)
        root.execute(
            "SELECT refund_credits(%s, 1, %s)",
            submitted.owner_id,
            words.format(id=session_id, ID=session_id.upper()),
        )
        assert sql.complete(run) == {"outcome": "refunded"}
        fail(root.connection, submitted.session)
        assert ledger_faults(root.connection) == []


class TestUnderLocks:
    """The platform's refund is under way, not yet committed, while the worker settles."""

    def settle_while_a_refund_is_under_way(
        self, postgres: LocalPostgres, platform: Producer, session: SessionRef, settle: Callable[[], Answer]
    ) -> Answer:
        with (
            psycopg.connect(postgres.dsn, options="-c search_path=public") as other,
            ThreadPoolExecutor(1) as pool,
        ):
            refund(other, session)
            settling: Future[Answer] = pool.submit(settle)
            while not platform.value(LOCK_WAITS):
                assert not settling.done(), "it did not wait for the refund"
            other.commit()
            return settling.result()

    def test_a_failure_waits_and_then_gives_nothing_back(
        self, platform: Producer, sql: WorkerSql, root: Superuser, postgres: LocalPostgres
    ) -> None:
        submitted = user(platform)
        run = sql.claimed(submitted.session)
        answer = self.settle_while_a_refund_is_under_way(
            postgres, platform, submitted.session, lambda: sql.fail(submitted.session, run.fence)
        )
        assert answer["refund"] == {"kind": "already_refunded", "credits": 0}
        assert ledger_faults(root.connection) == []

    def test_a_store_s_failure_meets_the_unique_key_and_gives_nothing_back(
        self, platform: Producer, sql: WorkerSql, root: Superuser, postgres: LocalPostgres
    ) -> None:
        submitted = store(platform)
        run = sql.claimed(submitted.session)
        answer = self.settle_while_a_refund_is_under_way(
            postgres, platform, submitted.session, lambda: sql.fail(submitted.session, run.fence)
        )
        assert answer["refund"] == {"kind": "already_refunded", "credits": 0}
        [row] = [row for row in root.refunds() if row["session_id"] == submitted.session.session_id]
        assert row["by_platform"] is True
        assert ledger_faults(root.connection) == []

    def test_a_completion_waits_and_then_delivers_nothing(
        self, platform: Producer, sql: WorkerSql, root: Superuser, postgres: LocalPostgres
    ) -> None:
        submitted = user(platform)
        run = sql.claimed(submitted.session)
        answer = self.settle_while_a_refund_is_under_way(
            postgres, platform, submitted.session, lambda: sql.complete(run)
        )
        assert answer == {"outcome": "refunded"}
        fail(root.connection, submitted.session)
        assert ledger_faults(root.connection) == []

    @pytest.mark.parametrize("first", ["complete", "fail"])
    def test_two_sessions_of_one_request_are_settled_one_after_the_other(
        self, platform: Producer, sql: WorkerSql, root: Superuser, postgres: LocalPostgres, first: str
    ) -> None:
        """Else one would be delivered and the other give back what paid for it."""
        submitted = store(platform)
        [(again,)] = root.rows(
            "INSERT INTO store_generation_sessions (store_id, request_id) VALUES (%s, %s) RETURNING id",
            submitted.owner_id,
            submitted.request_id,
        )
        completing = sql.claimed(submitted.session)
        failing = sql.claimed(SessionRef(Channel.B2B, again))
        settle = {
            "complete": lambda by: by.complete(completing),
            "fail": lambda by: by.fail(failing.session, failing.fence),
        }
        with WorkerSql(postgres.dsn) as other, ThreadPoolExecutor(1) as pool:
            with other.transaction():
                settle.pop(first)(other)
                [settling] = [pool.submit(last, sql) for last in settle.values()]
                while not platform.value(LOCK_WAITS):
                    assert not settling.done(), "it did not wait"
            answer = settling.result()
        if first == "complete":
            assert answer["refund"]["kind"] == "unproven_charge"
        else:
            assert answer == {"outcome": "refunded"}
            fail(root.connection, completing.session)
        assert ledger_faults(root.connection) == []


@pytest.fixture
def clock(root: Superuser) -> Iterator[DatabaseClock]:
    with DatabaseClock(root.connection) as clock:
        yield clock


def created_at(root: Superuser, session: SessionRef, age_at_midnight: timedelta) -> None:
    table = "generation_sessions" if session.channel is Channel.B2C else "store_generation_sessions"
    root.execute(
        f"UPDATE {table} SET created_at = %s WHERE id = %s",  # noqa: S608 - constants
        MIDNIGHT - age_at_midnight,
        session.session_id,
    )


MINUTES_11, MINUTES_9_AND_A_HALF, MINUTES_8 = timedelta(minutes=11), timedelta(minutes=9.5), timedelta(minutes=8)

# Around 00:00 UTC: seconds after it, age of the session then -> may it be begun, may it be settled?
Moment = tuple[int, timedelta, bool, bool]
WINDOW: Final[list[Moment]] = [
    (-61, MINUTES_11, True, True),
    (-59, MINUTES_11, False, True),
    (-11, MINUTES_11, False, True),
    (-9, MINUTES_11, False, False),
    (0, MINUTES_11, False, False),
    (150, MINUTES_11, False, False),
    (299, MINUTES_11, False, False),
    (300, MINUTES_11, True, True),
    (-30, MINUTES_9_AND_A_HALF, False, True),
    (60, MINUTES_9_AND_A_HALF, False, False),
    (-30, MINUTES_8, True, True),
    (0, MINUTES_8, True, True),
    (299, MINUTES_8, True, True),
    (43_200, timedelta(days=3), True, True),
]


class TestAroundTheJobsHour:
    @pytest.mark.parametrize("moment", WINDOW, ids=str)
    def test_nothing_is_begun_or_settled_that_the_job_may_have_on_its_list(
        self,
        platform: Producer,
        sql: WorkerSql,
        root: Superuser,
        clock: DatabaseClock,
        moment: "Moment",
    ) -> None:
        seconds, age, may_begin, may_settle = moment
        clock.set(DatabaseClock.NOON)
        runs = {name: sql.claimed(user(platform).session) for name in ("completes", "fails", "recovery fails")}
        begins = Run(user(platform).session, sql.executor(), uuid4())
        for run in (*runs.values(), begins):
            created_at(root, run.session, age)
        sql.retire(runs["recovery fails"].executor)
        clock.set(MIDNIGHT + timedelta(seconds=seconds))

        answers = {
            "completes": sql.complete(runs["completes"]),
            "fails": sql.fail(runs["fails"].session, runs["fails"].fence),
            "recovery fails": sql.fail(runs["recovery fails"].session, None),
        }
        begun = sql.claim(begins)

        assert {name: answer["outcome"] == "not_now" for name, answer in answers.items()} == dict.fromkeys(
            answers, not may_settle
        )
        assert (begun["outcome"] == "claimed") == may_begin
        for answer in (*answers.values(), begun):
            assert answer.get("retry_after_seconds", 300 - seconds) == 300 - seconds
        assert ledger_faults(root.connection) == []

    @pytest.mark.parametrize("mode", StoreMode)
    def test_stores_have_no_such_job(
        self, platform: Producer, sql: WorkerSql, root: Superuser, clock: DatabaseClock, mode: StoreMode
    ) -> None:
        clock.set(DatabaseClock.WHILE_THE_JOB_RUNS)
        sessions = [platform.submit_b2b([], mode=mode, push=False).session for _ in range(2)]
        for session in sessions:
            created_at(root, session, timedelta(days=1))
        completing, failing = (sql.claimed(session) for session in sessions)
        assert sql.complete(completing)["outcome"] == "completed"
        assert sql.fail(failing.session, failing.fence)["outcome"] == "failed"

    def test_a_claim_held_when_the_window_begins_stays_held_whoever_asks_about_it(
        self, platform: Producer, sql: WorkerSql, root: Superuser, clock: DatabaseClock
    ) -> None:
        """A repeated claim, after a long wait for a turn or beside a picture that Storage does not take yet."""
        clock.set(DatabaseClock.NOON)
        run = sql.claimed(user(platform).session)
        created_at(root, run.session, MINUTES_11)
        clock.set(DatabaseClock.WHILE_THE_JOB_RUNS)
        before = root.everything()
        assert [sql.claim(run)["outcome"] for _ in range(2)] == ["not_now"] * 2
        assert root.everything() == before
        clock.set(DatabaseClock.AFTERWARDS)
        assert (sql.claim(run)["outcome"], sql.complete(run)["outcome"]) == ("claimed", "completed")
        assert root.claim_row(run.session)["attempt"] == 1

    def test_and_can_be_handed_back_meanwhile_and_that_costs_no_attempt(
        self, platform: Producer, sql: WorkerSql, root: Superuser, clock: DatabaseClock
    ) -> None:
        clock.set(DatabaseClock.NOON)
        run = sql.claimed(user(platform).session)
        created_at(root, run.session, MINUTES_11)
        clock.set(DatabaseClock.WHILE_THE_JOB_RUNS)
        assert sql.claim(run)["outcome"] == "not_now"
        assert [sql.release(run) for _ in range(2)] == [{"outcome": "released"}] * 2
        row = root.claim_row(run.session)
        assert (row["executor"], row["attempt"]) == (None, 0)
        assert platform.session(run.session).status is SessionStatus.QUEUED
        clock.set(DatabaseClock.AFTERWARDS)
        assert sql.claimed(run.session) is not None

    def test_a_session_the_job_refunded_is_ended_at_once_and_only_marked(
        self, platform: Producer, sql: WorkerSql, root: Superuser, clock: DatabaseClock
    ) -> None:
        clock.set(DatabaseClock.NOON)
        completing, failing = (sql.claimed(user(platform).session) for _ in range(2))
        for run in (completing, failing):
            created_at(root, run.session, MINUTES_11)
        clock.set(DatabaseClock.WHILE_THE_JOB_RUNS)
        assert sql.complete(completing)["outcome"] == "not_now"
        for run in (completing, failing):
            refund(root.connection, run.session)
        assert sql.complete(completing) == {"outcome": "refunded"}
        assert sql.fail(failing.session, failing.fence)["refund"]["kind"] == "already_refunded"
        for run in (completing, failing):
            fail(root.connection, run.session)
        assert ledger_faults(root.connection) == []

    def test_the_window_is_the_same_in_every_time_zone_of_the_session(self, root: Superuser) -> None:
        query = (
            "SELECT wearon_worker.seconds_until_past_the_job('2026-03-01T23:00:00Z', '2026-03-02T00:01:00Z', '10 s'),"
            " wearon_worker.seconds_until_past_the_job('2026-03-01T23:00:00Z', '2026-03-01T23:01:00Z', '10 s')"
        )
        for zone in ("UTC", "Pacific/Kiritimati", "America/St_Johns"):
            root.execute(f"SET timezone = '{zone}'")
            assert root.rows(query) == [(240.0, None)]
        root.execute("RESET timezone")


def test_a_completed_session_that_the_job_had_listed_ends_failed_and_refunded_once(
    platform: Producer, sql: WorkerSql, root: Superuser
) -> None:
    """What is left of the window (docs/reliability.md): the picture is lost to the person, the credit is right."""
    submitted = user(platform)
    run = sql.claimed(submitted.session)
    entry: Any = root.connection
    assert sql.complete(run)["outcome"] == "completed"
    root.execute(
        "SELECT refund_credits(%s, 1, %s)", submitted.owner_id, f"session {submitted.session.session_id} timed out"
    )
    assert [fault.partition(" of")[0] for fault in ledger_faults(entry)] == [
        "completed_and_refunded",
        "given_back_twice",
    ]
    fail(root.connection, submitted.session)
    assert ledger_faults(root.connection) == []
