"""Sixteen at once on the same sessions, and the platform in between: the credits still add up."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Final
from uuid import uuid4

import psycopg
import pytest

from models.generation import Channel, SessionRef
from sandbox.platform.database_clock import DatabaseClock
from sandbox.platform.jobs import fail_stuck, list_stuck, refund_stuck
from sandbox.platform.producer import Producer, StoreMode
from sandbox.servers.postgres import LocalPostgres
from services.platform.errors import is_about_one_session
from tests.support.ledger_audit import ledger_faults
from tests.support.platform_acts import LONG_AGO, execute, fail, refund, value
from tests.support.worker_sql import LEASE_SECONDS, Run, Superuser, WorkerSql

THREADS: Final = 16
CALLS_PER_THREAD: Final = 150
"""At least: they go on until the platform's job has given something back."""
SESSIONS_PER_PAYER: Final = 40
CONTENDED_SESSIONS: Final = 8
"""All threads work on the same few sessions at any time, and move on through all of them together."""
AUDIT_PAUSE_SECONDS: Final = 0.1

NIGHTS: Final = 10
"""How often the platform's job runs during the race."""
DAY_SECONDS: Final = 0.1
"""Between two of them."""
SESSIONS_OF_THE_NIGHTS: Final = 8 * NIGHTS
"""More of them that nobody works on before their night: whatever the machine's speed, some are open when it comes."""
SHARE_OF_TONIGHT: Final = 0.3
"""Of the calls go to sessions that the job is about to list or has listed."""
STEP_SECONDS: Final = 0.04
"""Between the job's two calls about one session."""

SEEDS: Final = (1, 2, 3)
"""Three runs of different mixtures, a few seconds each on two cores."""


def submit_everything(platform: Producer) -> list[SessionRef]:
    """Sessions of every payer; those of one payer share a balance, as one store's rush hour does."""
    user = platform.new_user(balance=200)
    stores = [platform.new_store(mode, balance=100) for mode in StoreMode]
    return [
        submitted.session
        for number in range(SESSIONS_PER_PAYER)
        for submitted in (
            platform.submit_b2c([], user_id=user, credits_used=number % 4, push=False),
            platform.submit_b2c([], user_id=user, push=False),
            *(platform.submit_b2b([], store=store, credits_used=1 + number % 3, push=False) for store in stores),
        )
    ]


def submit_for_the_nights(platform: Producer) -> list[SessionRef]:
    """Sessions of one credit, which is what the platform's job gives back."""
    user = platform.new_user(balance=SESSIONS_OF_THE_NIGHTS)
    return [
        platform.submit_b2c([], user_id=user, credits_used=1, push=False).session for _ in range(SESSIONS_OF_THE_NIGHTS)
    ]


class Worker:
    """One thread's view: its own connections, its executor of the moment, the runs it ever began."""

    def __init__(
        self, dsn: str, sessions: list[SessionRef], seed: int, gap: threading.Lock, tonight: list[SessionRef]
    ) -> None:
        self._gap = gap
        self._tonight = tonight
        self._sql = WorkerSql(dsn)
        self._platform = Superuser(dsn)
        self._sessions = sessions
        self._random = random.Random(seed)
        self._outcomes: Counter[str] = Counter()
        self._calls = 0
        self._executor = self._sql.executor()
        self._runs: list[Run] = []

    def work(self, start: threading.Barrier, job_was_there: threading.Event) -> Counter[str]:
        """Do random things to random sessions; answers how often each thing ended how."""
        with self._sql, self._platform:
            start.wait()
            while self._calls < CALLS_PER_THREAD or not job_was_there.is_set():
                action = self._random.choice(self.ACTIONS)
                self._outcomes[self._repeated_while_retryable(action)] += 1
                self._calls += 1
        return self._outcomes

    def _some_session(self) -> SessionRef:
        if self._tonight and self._random.random() < SHARE_OF_TONIGHT:
            return self._random.choice(self._tonight)
        progress = min(self._calls, CALLS_PER_THREAD)
        first = progress * (len(self._sessions) - CONTENDED_SESSIONS) // CALLS_PER_THREAD
        return self._sessions[first + self._random.randrange(CONTENDED_SESSIONS)]

    def _repeated_while_retryable(self, action: "Callable[[Worker], str]") -> str:
        while True:
            try:
                return action(self)
            except psycopg.Error as error:
                if error.sqlstate is None or is_about_one_session(error.sqlstate):
                    raise
                self._outcomes[f"retried {error.sqlstate}"] += 1

    def claim(self) -> str:
        run = Run(self._some_session(), self._executor, uuid4())
        outcome = str(self._sql.claim(run)["outcome"])
        if outcome in ("claimed", "exhausted", "refunded"):
            self._runs.append(run)
        return outcome

    def _one_run(self) -> Run:
        """One that was begun, now or long ago; a stale one as gladly as a fresh one."""
        return self._random.choice(self._runs[-3:]) if self._runs else Run(self._sessions[0], self._executor, uuid4())

    def complete(self) -> str:
        return f"complete: {self._sql.complete(self._one_run())['outcome']}"

    def fail(self) -> str:
        run = self._one_run()
        return f"fail: {self._sql.fail(run.session, run.fence)['outcome']}"

    def fail_as_nobody(self) -> str:
        return f"fail as nobody: {self._sql.fail(self._some_session(), None)['outcome']}"

    def release(self) -> str:
        return f"release: {self._sql.release(self._one_run(), rate_limited=True)['outcome']}"

    def die_and_start_again(self) -> str:
        self._sql.retire(self._executor)
        self._executor = self._sql.executor()
        return "retired"

    def recover(self) -> str:
        """Some executors miss their renewals; this one judges."""
        self._platform.execute(
            "UPDATE wearon_worker.executors SET expires_at = clock_timestamp() - interval '1 s'"
            " WHERE executor IN (SELECT executor FROM wearon_worker.executors WHERE dead_at IS NULL AND executor <> %s"
            " ORDER BY random() LIMIT 2 FOR UPDATE SKIP LOCKED)",
            self._executor,
        )
        self._platform.may_judge(self._executor)
        self._sql.recover(self._executor, lease_seconds=LEASE_SECONDS)
        if not self._sql.heartbeat(self._executor):
            self._executor = self._sql.executor()
        return "recovered"

    def push_fails(self) -> str:
        """A producer of a store gives up a push that arrived; a second refund of the request is refused."""
        session = self._some_session()
        if session.channel is Channel.B2C:
            return "push fails: no store's"
        # Audits wait for both steps: in between, what was completed just before looks refunded as well.
        with self._gap, suppress(psycopg.errors.UniqueViolation):
            refund(self._platform.connection, session)
            fail(self._platform.connection, session)
            return "push fails: refunded"
        return "push fails: refused"

    # How often each comes up says how far a session gets.
    ACTIONS: Final = (
        *[claim] * 8,
        *[complete] * 2,
        *[release] * 4,
        *[die_and_start_again] * 2,
        recover,
        fail,
        fail_as_nobody,
        push_fails,
    )


def run_the_job(
    finished: threading.Event,
    job_was_there: threading.Event,
    dsn: str,
    sessions: Sequence[SessionRef],
    tonight: list[SessionRef],
) -> int:
    """Night after night, by the database's clock: the list is read once, then two calls for each, without looking."""
    refunded = 0
    with Superuser(dsn) as platform, DatabaseClock(platform.connection) as clock:
        calls = partial(execute, platform.connection)
        for night in range(NIGHTS):
            clock.set(DatabaseClock.NOON)
            platform.execute(
                "UPDATE generation_sessions SET created_at = created_at - %s WHERE id = ANY(%s)",
                LONG_AGO,  # the job gives back one credit, so that is what its sessions cost
                [session.session_id for session in sessions[night::NIGHTS]],
            )
            tonight[:] = sessions[night::NIGHTS]
            if finished.wait(DAY_SECONDS):
                break
            clock.set(DatabaseClock.BEFORE_THE_LIST)
            wait_until_earlier_calls_are_over(platform)
            listed = list_stuck(partial(value, platform.connection), DatabaseClock.WHILE_THE_JOB_RUNS)
            clock.set(DatabaseClock.WHILE_THE_JOB_RUNS)
            for entry in listed:
                refund_stuck(calls, entry)
                time.sleep(STEP_SECONDS)
                fail_stuck(calls, entry)
                refunded += 1
            if refunded:
                job_was_there.set()
    return refunded


def wait_until_earlier_calls_are_over(platform: Superuser) -> None:
    """Every statement that may have read the clock before it was set has ended; in production ten seconds lie there."""
    [(now,)] = platform.rows("SELECT clock_timestamp()")
    running = (
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query_start < %s AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )
    while platform.rows(running, now) != [(0,)]:
        time.sleep(0.001)


def audit_until(finished: threading.Event, dsn: str, gap: threading.Lock) -> list[str]:
    """What is wrong at any moment of the race: each audit is one statement, so it sees one moment."""
    faults: list[str] = []
    with Superuser(dsn) as auditor:
        while not finished.wait(AUDIT_PAUSE_SECONDS):
            with gap:
                faults += ledger_faults(auditor.connection)
    return faults


def settle_what_is_left(sql: WorkerSql, root: Superuser) -> None:
    """All workers are gone; a new one recovers."""
    root.execute("UPDATE wearon_worker.executors SET expires_at = now() - interval '1 s'")
    judge = sql.executor()
    root.may_judge(judge)
    sql.recover(judge)
    with DatabaseClock(root.connection) as clock:
        clock.set(DatabaseClock.NOON)
        for session in sql.unowned():
            assert sql.fail(session, None, reason="task_lost")["outcome"] == "failed"


@pytest.mark.parametrize("seed", SEEDS)
def test_however_they_interleave_every_credit_is_spent_or_given_back_once(
    platform: Producer, sql: WorkerSql, root: Superuser, postgres: LocalPostgres, seed: int
) -> None:
    platform.wipe()
    sessions, for_the_nights = submit_everything(platform), submit_for_the_nights(platform)
    start, gap = threading.Barrier(THREADS), threading.Lock()
    job_was_there, finished = threading.Event(), threading.Event()
    tonight: list[SessionRef] = []
    workers = [Worker(postgres.dsn, sessions, seed * THREADS + number, gap, tonight) for number in range(THREADS)]
    with ThreadPoolExecutor(THREADS + 2) as pool:
        audit = pool.submit(audit_until, finished, postgres.dsn, gap)
        of_one_credit = [session for session in sessions if session.channel is Channel.B2C][1::2]
        job = pool.submit(run_the_job, finished, job_was_there, postgres.dsn, for_the_nights + of_one_credit, tonight)
        job.add_done_callback(lambda _: job_was_there.set())
        futures = [pool.submit(worker.work, start, job_was_there) for worker in workers]
        try:
            outcomes = sum((future.result() for future in futures), Counter[str]())
        finally:
            finished.set()

    assert audit.result() == []
    assert job.result() > 0
    assert ledger_faults(root.connection) == []
    missing = {
        "claimed",
        "owned",
        "exhausted",
        "complete: completed",
        "complete: lost",
        "fail: failed",
        "fail as nobody: failed",
        "fail as nobody: owned",
        "release: released",
        "release: lost",
        "push fails: refunded",
        "not_now",
    } - set(outcomes)
    assert not missing, f"the race shows nothing about these: {outcomes}"
    landed = Counter(outcome for (outcome,) in root.rows("SELECT outcome FROM wearon_worker.claims"))
    assert len(root.refunds()) >= landed["failed"] >= outcomes["fail as nobody: failed"]

    settle_what_is_left(sql, root)

    assert sql.unowned() == []
    assert ledger_faults(root.connection) == []
