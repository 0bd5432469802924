"""Any order of deaths, repeats and interference: the real SQL answers as the model does, and no credit goes wrong.

``WEARON_STATE_MACHINE_EXAMPLES=2000`` looks longer, and elsewhere each time; without it every run is the same.
"""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import ClassVar, Final, TypeVar
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from models.generation import SessionStatus
from sandbox.platform.database_clock import MIDNIGHT, DatabaseClock
from sandbox.platform.producer import Producer, StoreMode
from sandbox.servers.postgres import LocalPostgres
from tests.support.ledger_audit import ledger_faults
from tests.support.platform_acts import LONG_AGO, fail, refund
from tests.support.session_model import Copy, ModelSession, Worker
from tests.support.worker_sql import Answer, Run, Superuser, WorkerSql
from worker.settlement.policy import ATTEMPT_LIMIT

LONGER: Final = os.environ.get("WEARON_STATE_MACHINE_EXAMPLES")
EXAMPLES: Final = int(LONGER or 80)
STEPS_PER_EXAMPLE: Final = 40
"""Together less than a minute on two cores."""

TIMEOUT_SECONDS: Final = 0 if LONGER else 600
"""0: none, for whoever looks longer."""

MAX_SESSIONS: Final = 12
PLENTY: Final = 1_000
PAYERS: Final = {
    "user_credit": None,
    "store_credit": StoreMode.ABSORB,
    "shopper_credit": StoreMode.RESELL,
    "store_overage": StoreMode.OVERAGE,
    "unproven_charge": StoreMode.OVERAGE,
}
UNTOUCHED: Final = ("store_overage", "unproven_charge")
"""Kinds of charge that move no balance."""

TIMES: Final = {
    "day": DatabaseClock.NOON,
    "before": MIDNIGHT - timedelta(seconds=30),
    "job": DatabaseClock.WHILE_THE_JOB_RUNS,
}

HISTORIES = st.sampled_from(["new", "new", "new", "a run died", "two runs died", "put back"])
"""What has happened to a session of the beginning."""

OUTCOMES: Final = frozenset(
    {"claimed", "exhausted", "refunded", "owned", "settled", "executor_dead", "not_now"}
    | {"released", "completed", "failed", "lost"}
)
"""All that a run can be told of a session that exists."""

Item = TypeVar("Item")

SOME = st.integers(0, 11)
"""Which of the things there are, counted round."""

OFTEN = st.sampled_from([True, True, True, False])


class Sessions(RuleBasedStateMachine):
    """The platform with its nightly job, up to three workers, and a person who interferes."""

    def __init__(self, platform: Producer, sql: WorkerSql, root: Superuser, clock: DatabaseClock) -> None:
        super().__init__()
        self.platform, self.sql, self.root, self.clock = platform, sql, root, clock
        self.night = "day"
        self.listed: list[ModelSession] = []
        """What the platform's job has read at its start and not come to yet."""
        self.refunded_next: ModelSession | None = None
        """The session that the job is at: step 1 is done, step 2 is not."""
        self.half_failed_pushes: list[ModelSession] = []
        """Of stores, refunded by a producer whose push raised; the row is still to be marked."""
        self.sessions: list[ModelSession] = []
        self.queue: list[Copy] = []
        self.workers: list[Worker] = []
        self.runs: list[tuple[ModelSession, Run]] = []
        """Every run ever begun: a process that was paused wakes up and goes on as if nothing had happened."""
        self.last_call: Callable[[], Answer] | None = None
        """The call that a run made in the last step, if it made one."""
        self.last_answer: Answer = {}
        self.steps_since_asked = 0

    outcomes: ClassVar[Counter[str]] = Counter()
    """Of all examples together: what was never answered was never tried."""

    @initialize(histories=st.tuples(*[HISTORIES] * len(PAYERS)), begins_at_midnight=st.booleans())
    def one_session_of_every_payer(self, histories: tuple[str, ...], begins_at_midnight: bool) -> None:
        """Rare pasts to begin with; chance alone would seldom come so far."""
        self.platform.wipe()
        self.clock.set(TIMES["day"])
        self.user = self.platform.new_user(balance=PLENTY)
        self.stores = {
            kind: self.platform.new_store(mode, balance=PLENTY) for kind, mode in PAYERS.items() if mode is not None
        }
        # Who shops at a store that pays itself has bought and spent there before.
        self.platform.let_shopper_pay_once(self.stores["store_credit"], balance=PLENTY)
        for number, (kind, history) in enumerate(zip(PAYERS, histories, strict=True)):
            self.push(kind, 1, is_old=True)
            for _ in range({"a run died": 1, "two runs died": 2}.get(history, 0)):
                self.a_worker_takes_a_task(which=0, element=number, is_alive=True)
                self.a_worker_stalls_or_renews_its_lease_or_is_seen_to_end(which=-1, what="ends")
            if history == "put back":
                self.a_worker_takes_a_task(which=0, element=number, is_alive=True)
                self.the_provider_declines(which=0, is_active=True)
                self.somebody_interferes(which=number, what="put back")
        if begins_at_midnight:
            for _ in range(4):
                self.push("user_credit", 1, is_old=True)
                self.a_worker_takes_a_task(which=0, element=-1, is_alive=True)
            self.push("user_credit", 1, is_old=True)
            for _ in range(2):
                self.midnight_draws_near_and_then_the_job_reads_its_list()
        self.last_call = None

    # The platform -----------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.sessions) < MAX_SESSIONS)
    @rule(kind=st.sampled_from(sorted(PAYERS)), credits_used=st.sampled_from([1, 3, 0]), is_old=st.booleans())
    def one_more_session(self, kind: str, credits_used: int, is_old: bool) -> None:
        self.push(kind, credits_used, is_old=is_old)

    def push(self, kind: str, credits_used: int, *, is_old: bool) -> None:
        if kind == "user_credit":
            # The job gives back one credit, so that is what its sessions cost.
            is_old = is_old and credits_used == 1
            submitted = self.platform.submit_b2c([], user_id=self.user, credits_used=credits_used, push=False)
            if is_old:
                self.root.execute(
                    "UPDATE generation_sessions SET created_at = created_at - %s WHERE id = %s",
                    LONG_AGO,
                    submitted.session.session_id,
                )
        else:
            submitted = self.platform.submit_b2b(
                [],
                store=self.stores[kind],
                credits_used=credits_used,
                push=False,
                overage_line_is_lost=kind == "unproven_charge",
            )
        session = ModelSession(
            submitted.session,
            kind if credits_used else "nothing_charged",
            credits_used,
            is_old=is_old and kind == "user_credit",
        )
        self.sessions.append(session)
        self.queue.append(Copy(session))

    @precondition(lambda self: self.night != "job")
    @rule()
    def midnight_draws_near_and_then_the_job_reads_its_list(self) -> None:
        self.night = {"day": "before", "before": "job"}[self.night]
        self.clock.set(TIMES[self.night])
        if self.night == "job":
            # What the job of the night before left half done would be refunded by it once more; in the day between,
            # recovery ends it.
            old = [session for session in self.sessions if session.is_old and not session.is_given_back]
            self.listed = [session for session in old if session.is_open]

    @precondition(lambda self: self.listed or self.refunded_next)
    @rule(dies=st.sampled_from([False, False, False, True]))
    def the_job_does_its_next_step(self, dies: bool) -> None:
        """Without looking at the row; it may die after any of them."""
        if self.refunded_next:
            fail(self.root.connection, self.refunded_next.session)
            self.refunded_next.status = "failed"
            self.refunded_next = None
        else:
            self.refunded_next = self.listed.pop(0)
            refund(self.root.connection, self.refunded_next.session)
            self.refunded_next.times_given_back += 1
        if dies:
            self.listed, self.refunded_next = [], None

    @precondition(lambda self: self.night == "job" and not self.listed and not self.refunded_next)
    @rule()
    def the_window_passes(self) -> None:
        self.night = "day"
        self.clock.set(TIMES["day"])

    @rule(which=SOME)
    def a_push_that_arrived_is_taken_for_failed_and_refunded(self, which: int) -> None:
        """A store's; the platform refuses itself a second refund of the request."""
        session = pick(self.sessions, which)
        if session.kind in ("store_credit", "shopper_credit") and session.is_open and not session.is_given_back:
            refund(self.root.connection, session.session)
            session.times_given_back += 1
            self.half_failed_pushes.append(session)

    @precondition(lambda self: self.half_failed_pushes)
    @rule()
    def and_its_row_is_marked(self) -> None:
        session = self.half_failed_pushes.pop(0)
        fail(self.root.connection, session.session)
        session.status = "failed"

    @rule(which=SOME, what=st.sampled_from(["push again", "put back"]))
    def somebody_interferes(self, which: int, what: str) -> None:
        session = pick(self.sessions, which)
        if what == "push again":
            self.queue.append(Copy(session))
        elif what == "put back" and session.settled_as == "failed" and not session.is_old:
            # One that a person put back is in the platform's own books; what its job does to it is its business.
            self.platform.set_status(session.session, SessionStatus.QUEUED)
            session.status = "queued"
            self.queue.append(Copy(session))

    # Runs -------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.queue)
    @rule(which=SOME, element=SOME, is_alive=OFTEN)
    def a_worker_takes_a_task(self, which: int, element: int, is_alive: bool) -> None:
        if not self.living():
            self.workers.append(Worker(self.sql.executor()))
        worker = pick(self.living() if is_alive else self.workers, which)
        copy = self.queue.pop(element % len(self.queue))
        worker.in_flight.append(copy)
        self.claim(worker, copy)

    @precondition(lambda self: any(copy.run is None for worker in self.workers for copy in worker.in_flight))
    @rule(which=SOME)
    def a_worker_runs_again_what_was_handed_back(self, which: int) -> None:
        worker, copy = pick([(w, copy) for w in self.workers for copy in w.in_flight if copy.run is None], which)
        self.claim(worker, copy)

    def claim(self, worker: Worker, copy: Copy) -> None:
        session, run = copy.session, Run(copy.session.session, worker.executor, uuid4())
        expected = session.claim(worker.executor, run.fence, self.alive(), ATTEMPT_LIMIT, self.night)
        answer = self.ask(lambda: self.sql.claim(run))
        assert answer["outcome"] == expected
        if expected in ("claimed", "exhausted", "refunded"):
            assert (answer["attempt"], answer["rate_limited"]) == (session.attempt, session.rate_limited)
            copy.run = run
            self.runs.append((session, run))
        elif expected in ("owned", "settled"):
            worker.in_flight.remove(copy)

    @precondition(lambda self: self.queue)
    @rule(which=SOME, element=SOME, is_made=OFTEN)
    def a_worker_does_a_whole_task(self, which: int, element: int, is_made: bool) -> None:
        runs_before = len(self.runs)
        self.a_worker_takes_a_task(which=which, element=element, is_alive=True)
        if len(self.runs) > runs_before:
            end = self.the_picture_is_made if is_made else self.the_provider_declines
            end(which=-1, is_active=True)

    @precondition(lambda self: self.runs)
    @rule(which=SOME, is_active=OFTEN)
    def the_picture_is_made(self, which: int, is_active: bool) -> None:
        session, run = self.a_run(which, is_active=is_active)
        expected = session.complete(run.fence, self.night)
        assert self.ask(lambda: self.sql.complete(run))["outcome"] == expected
        if expected != "not_now":
            self.finish(run)

    @precondition(lambda self: self.runs)
    @rule(which=SOME, is_active=OFTEN)
    def the_provider_declines(self, which: int, is_active: bool) -> None:
        session, run = self.a_run(which, is_active=is_active)
        expected, given_back = session.fail(run.fence, self.alive(), self.night)
        answer = self.ask(lambda: self.sql.fail(run.session, run.fence))
        assert (answer["outcome"], credits_in(answer)) == (expected, given_back)
        if expected != "not_now":
            self.finish(run)

    @precondition(lambda self: self.runs)
    @rule(which=SOME, is_active=OFTEN, rate_limited=st.booleans())
    def the_run_is_handed_back(self, which: int, is_active: bool, rate_limited: bool) -> None:
        session, run = self.a_run(which, is_active=is_active)
        expected = session.release(run.fence, rate_limited=rate_limited)
        assert self.ask(lambda: self.sql.release(run, rate_limited=rate_limited))["outcome"] == expected
        for copy in (copy for worker in self.workers for copy in worker.in_flight if copy.run == run):
            copy.run = None

    def a_run(self, which: int, *, is_active: bool) -> tuple[ModelSession, Run]:
        """One that still has its copy, if there is one and that is wanted; else any there ever was."""
        active = {copy.run for worker in self.workers for copy in worker.in_flight}
        return pick([pair for pair in self.runs if is_active and pair[1] in active] or self.runs, which)

    def finish(self, run: Run) -> None:
        """Whatever the answer was, this run has nothing left to do and drops its copy."""
        for worker in self.workers:
            worker.in_flight = [copy for copy in worker.in_flight if copy.run != run]

    @precondition(lambda self: self.last_call)
    @rule()
    def the_reply_was_lost_and_the_call_is_repeated(self) -> None:
        assert self.last_call is not None
        before = self.root.everything()
        again = self.last_call()
        assert again["outcome"] == self.last_answer["outcome"]
        assert credits_in(again) == 0
        assert self.root.everything() == before

    # Death and recovery -----------------------------------------------------------------------------------------

    @precondition(lambda self: self.workers)
    @rule(which=SOME, what=st.sampled_from(["stalls", "renews", "ends"]))
    def a_worker_stalls_or_renews_its_lease_or_is_seen_to_end(self, which: int, what: str) -> None:
        worker = pick(self.workers, which)
        if what == "stalls" and not worker.is_dead:
            self.root.lease_ran_out(worker.executor)
            worker.is_late = True
        elif what == "renews":
            assert self.sql.heartbeat(worker.executor) == (not worker.is_dead)
            worker.is_late = False
        elif what == "ends":
            self.sql.retire(worker.executor)
            worker.is_dead = True
            self.hand_back()

    @precondition(lambda self: any(not worker.is_late for worker in self.living()))
    @rule(which=SOME, is_judge=st.sampled_from([True, True, False]))
    def a_worker_recovers(self, which: int, is_judge: bool) -> None:
        judge = pick([worker for worker in self.living() if not worker.is_late], which)
        if is_judge:
            self.root.may_judge(judge.executor)
            for worker in self.living():
                worker.is_dead = worker.is_late and worker is not judge
        else:
            self.root.set_clock_of(judge.executor, renewed_seconds_ago=0, continuous_seconds=0)
        dead = {worker.executor for worker in self.workers if worker.is_dead}
        holders = [worker.executor for worker in self.workers]
        assert self.sql.recover(judge.executor, holders=holders) == dead
        self.hand_back()

    def hand_back(self) -> None:
        """What the dead had in flight goes back to the queue, and what they held is free."""
        dead = {worker.executor for worker in self.workers if worker.is_dead}
        for session in self.sessions:
            session.holder_died(dead)
        for worker in self.workers:
            if worker.is_dead:
                self.queue += [Copy(copy.session) for copy in worker.in_flight]
                worker.in_flight.clear()

    @rule()
    def recovery_settles_what_lost_its_task(self) -> None:
        unowned = [session for session in self.sessions if session.is_open and session.holder not in self.alive()]
        assert set(self.sql.unowned()) == {session.session for session in unowned}
        waiting = [copy.session for copy in self.queue]
        waiting += [copy.session for worker in self.workers for copy in worker.in_flight]
        for session in unowned:
            if session not in waiting:
                expected, given_back = session.fail(None, self.alive(), self.night)
                answer = self.sql.fail(session.session, None, reason="task_lost")
                assert (answer["outcome"], credits_in(answer)) == (expected, given_back)
                assert expected in ("failed", "not_now")

    # What holds after every step --------------------------------------------------------------------------------

    @invariant()
    def for_every_payer_deducted_is_completed_and_refunded_and_open(self) -> None:
        assert ledger_faults(self.root.connection) == []

    @invariant()
    def every_session_is_as_the_model_says(self) -> None:
        rows = self.root.rows(
            "SELECT s.id, s.status, coalesce(c.executor, %s), coalesce(c.attempt, 0), c.outcome, r.kind"
            " FROM (SELECT id, status FROM generation_sessions UNION ALL"
            "       SELECT id, status FROM store_generation_sessions) s"
            " LEFT JOIN wearon_worker.claims c ON c.session_id = s.id"
            " LEFT JOIN wearon_worker.refunds r ON r.session_id = s.id"
            " WHERE s.id = ANY(%s)",
            NOBODY,
            [session.session.session_id for session in self.sessions],
        )
        assert {row[0]: row[1:] for row in rows} == {
            session.session.session_id: (
                session.status,
                session.holder or NOBODY,
                session.attempt,
                session.settled_as,
                session.kind if session.refunded_by_us else None,
            )
            for session in self.sessions
        }

    @invariant()
    def every_balance_is_as_the_model_says(self) -> None:
        balances = self.platform.balances()
        shoppers = {store: balance for (store, _), balance in balances.shoppers.items()}
        assert shoppers[self.stores["store_credit"].store_id] == PLENTY - 1, "who paid once, long ago"
        assert [balances.stores[self.stores[kind].store_id] for kind in UNTOUCHED] == [0, 0]
        assert {
            "user_credit": balances.users[self.user],
            "store_credit": balances.stores[self.stores["store_credit"].store_id],
            "shopper_credit": shoppers[self.stores["shopper_credit"].store_id],
        } == {kind: PLENTY - self.spent_by(kind) for kind in ("user_credit", "store_credit", "shopper_credit")}

    def spent_by(self, kind: str) -> int:
        """Also when it was given back and is still open, and never more than once."""
        return sum(
            session.credits * (1 - session.times_given_back) for session in self.sessions if session.kind == kind
        )

    # Plumbing ---------------------------------------------------------------------------------------------------

    def ask(self, call: Callable[[], Answer]) -> Answer:
        """Make a call of a run, and remember it until the next step in case its reply gets lost."""
        self.last_answer = call()
        self.outcomes[self.last_answer["outcome"]] += 1
        self.last_call, self.steps_since_asked = call, 0
        return self.last_answer

    @invariant()
    def only_the_last_step_s_call_is_repeated(self) -> None:
        if self.steps_since_asked:
            self.last_call = None
        self.steps_since_asked += 1

    def living(self) -> list[Worker]:
        return [worker for worker in self.workers if not worker.is_dead]

    def alive(self) -> set[UUID]:
        return {worker.executor for worker in self.living()}


NOBODY: Final = UUID(int=0)


def pick(items: Sequence[Item], which: int) -> Item:
    return items[which % len(items)]


def credits_in(answer: Answer) -> int:
    credits_given_back: int = answer.get("refund", {}).get("credits", 0)
    return credits_given_back


@pytest.mark.timeout(TIMEOUT_SECONDS)
def test_no_order_of_events_makes_a_credit_appear_or_disappear(producer: Producer, postgres: LocalPostgres) -> None:
    with WorkerSql(postgres.dsn) as sql, Superuser(postgres.dsn) as root, DatabaseClock(root.connection) as clock:

        class OnTheseParts(Sessions):
            def __init__(self) -> None:
                super().__init__(producer, sql, root, clock)

        run_state_machine_as_test(
            OnTheseParts,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS_PER_EXAMPLE,
                derandomize=LONGER is None,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                print_blob=True,
            ),
        )
        assert set(Sessions.outcomes) == OUTCOMES
        assert min(Sessions.outcomes[rare] for rare in ("not_now", "refunded", "completed", "failed")) > EXAMPLES / 4
