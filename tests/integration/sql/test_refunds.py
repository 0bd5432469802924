"""What a failure gives back: exactly what the producer charged, to whoever paid, once per session for ever (FR-2)."""

from collections.abc import Callable
from uuid import uuid4

import psycopg
import pytest

from models.generation import Channel, SessionRef, SessionStatus
from sandbox.platform.producer import Producer, StoreMode, Submitted
from tests.support.ledger_audit import ledger_faults
from tests.support.platform_acts import give_up
from tests.support.worker_sql import Answer, Run, Superuser, WorkerSql

BALANCE = 10
Payer = Callable[[Producer, int], Submitted]


def user(platform: Producer, credits_used: int) -> Submitted:
    return platform.submit_b2c([], credits_used=credits_used, push=False)


def store(platform: Producer, credits_used: int) -> Submitted:
    return platform.submit_b2b([], credits_used=credits_used, push=False)


def shopper(platform: Producer, credits_used: int) -> Submitted:
    return platform.submit_b2b([], mode=StoreMode.RESELL, credits_used=credits_used, push=False)


def overage(platform: Producer, credits_used: int) -> Submitted:
    return platform.submit_b2b([], mode=StoreMode.OVERAGE, credits_used=credits_used, push=False)


PAYERS: dict[Payer, str] = {
    user: "user_credit",
    store: "store_credit",
    shopper: "shopper_credit",
    overage: "store_overage",
}
BALANCES: dict[Payer, Callable[[int], list[int]]] = {
    user: lambda payers: [payers],
    store: lambda payers: [payers],
    shopper: lambda payers: [0, payers],
    overage: lambda _: [0],
}
"""What `balances_of` shows when the payer has that many credits."""

every_payer = pytest.mark.parametrize("payer", PAYERS, ids=lambda payer: payer.__name__)


def balances_of(platform: Producer, submitted: Submitted) -> list[int]:
    """Of the user, or of the store and its shoppers."""
    balances = platform.balances()
    return [
        *(balance for owner, balance in balances.users.items() if owner == submitted.owner_id),
        *(balance for owner, balance in balances.stores.items() if owner == submitted.owner_id),
        *(balance for (owner, _), balance in balances.shoppers.items() if owner == submitted.owner_id),
    ]


def ledger_of(platform: Producer, submitted: Submitted) -> list[tuple[str, int]]:
    return [
        (entry.type, entry.amount)
        for entry in platform.ledger()
        if entry.owner_id == submitted.owner_id and entry.type != "signup_bonus"
    ]


def refund_row(root: Superuser, session: SessionRef) -> dict[str, object]:
    [row] = [row for row in root.refunds() if row["session_id"] == session.session_id]
    return row


def failed(submitted: Submitted, kind: str, credits_given_back: int) -> Answer:
    """The answer to a failure that took effect; only rows of stores have a request id."""
    return {
        "outcome": "failed",
        "request_id": submitted.request_id if submitted.session.channel is Channel.B2B else None,
        "refund": {"kind": kind, "credits": credits_given_back},
    }


class TestEveryKindOfCharge:
    @pytest.mark.parametrize("credits_used", [1, 3])
    @every_payer
    def test_is_undone_in_full_and_on_record(
        self, platform: Producer, sql: WorkerSql, root: Superuser, payer: Payer, *, credits_used: int
    ) -> None:
        submitted = payer(platform, credits_used)
        assert balances_of(platform, submitted) == BALANCES[payer](BALANCE - credits_used)
        run = sql.claimed(submitted.session)

        answer = sql.fail(submitted.session, run.fence, reason="moderated")

        assert answer == failed(submitted, PAYERS[payer], credits_used)
        assert balances_of(platform, submitted) == BALANCES[payer](BALANCE)
        row = refund_row(root, submitted.session)
        assert (row["kind"], row["credits"], row["owner_id"]) == (PAYERS[payer], credits_used, submitted.owner_id)
        assert (row["reason"], row["by_platform"]) == ("moderated", False)
        refunds = [entry for entry in ledger_of(platform, submitted) if entry[0] == "refund"]
        assert refunds == ([] if payer is overage else [("refund", credits_used)])
        assert ledger_faults(root.connection) == []

    @every_payer
    def test_of_nothing_gives_nothing_back(
        self, platform: Producer, sql: WorkerSql, root: Superuser, payer: Payer
    ) -> None:
        submitted = payer(platform, 0)
        before = balances_of(platform, submitted), ledger_of(platform, submitted)
        answer = sql.fail(submitted.session, sql.claimed(submitted.session).fence)
        assert answer == failed(submitted, "nothing_charged", 0)
        assert (balances_of(platform, submitted), ledger_of(platform, submitted)) == before
        assert ledger_faults(root.connection) == []

    @every_payer
    def test_is_undone_by_recovery_as_by_the_run_itself(
        self, platform: Producer, sql: WorkerSql, root: Superuser, payer: Payer
    ) -> None:
        submitted = payer(platform, 1)
        answer = sql.fail(submitted.session, None, reason="task_lost")
        assert answer == failed(submitted, PAYERS[payer], 1)
        assert refund_row(root, submitted.session)["reason"] == "task_lost"
        assert ledger_faults(root.connection) == []

    @every_payer
    def test_stays_charged_when_the_session_completes(
        self, platform: Producer, sql: WorkerSql, root: Superuser, payer: Payer
    ) -> None:
        submitted = payer(platform, 1)
        before = balances_of(platform, submitted)
        run = sql.claimed(submitted.session)
        sql.complete(run)
        assert sql.fail(submitted.session, run.fence)["outcome"] == "settled"
        assert sql.fail(submitted.session, None)["outcome"] == "settled"
        assert balances_of(platform, submitted) == before
        assert ledger_faults(root.connection) == []


class TestOverage:
    def test_billing_sees_what_to_reverse_from_any_time_on(
        self, platform: Producer, sql: WorkerSql, root: Superuser
    ) -> None:
        [(beginning,)] = root.rows("SELECT clock_timestamp()")
        sessions = [overage(platform, 1) for _ in range(3)]
        sql.fail(store(platform, 1).session, None)
        for submitted in sessions[:2]:
            sql.fail(submitted.session, sql.claimed(submitted.session).fence)
        sql.complete(sql.claimed(sessions[2].session))

        rows = sql.call("overage_reversals", since=beginning)

        assert [(row["store_id"], row["session_id"], row["request_id"], row["credits"]) for row in rows] == [
            (submitted.owner_id, submitted.session.session_id, submitted.request_id, 1) for submitted in sessions[:2]
        ]
        assert sql.call("overage_reversals", since=rows[1]["refunded_at"]) == rows[1:]


class TestThePlatformFirst:
    @every_payer
    def test_a_session_it_expired_and_refunded_is_left_alone(
        self, platform: Producer, sql: WorkerSql, root: Superuser, payer: Payer
    ) -> None:
        submitted = payer(platform, 1)
        run = sql.claimed(submitted.session)
        assert give_up(root.connection, submitted.session)
        before = root.everything()
        assert sql.complete(run)["outcome"] == "settled"
        assert sql.fail(submitted.session, run.fence)["outcome"] == "settled"
        assert sql.release(run)["outcome"] == "settled"
        assert root.everything() == before
        assert ledger_faults(root.connection) == []


class TestOnceForEver:
    @every_payer
    def test_a_refunded_session_that_somebody_puts_back_is_neither_refunded_again_nor_made_for_free(
        self, platform: Producer, sql: WorkerSql, root: Superuser, payer: Payer
    ) -> None:
        submitted = payer(platform, 1)
        sql.fail(submitted.session, sql.claimed(submitted.session).fence)
        before = balances_of(platform, submitted), ledger_of(platform, submitted)
        platform.set_status(submitted.session, SessionStatus.QUEUED)

        run = Run(submitted.session, sql.executor(), uuid4())
        assert sql.claim(run)["outcome"] == "refunded"
        assert sql.complete(run)["outcome"] == "refunded"
        assert sql.claim(run)["outcome"] == "refunded"
        answer = sql.fail(submitted.session, run.fence)

        assert answer == failed(submitted, "already_refunded", 0)
        assert (balances_of(platform, submitted), ledger_of(platform, submitted)) == before
        assert platform.session(submitted.session).status is SessionStatus.FAILED
        assert ledger_faults(root.connection) == []

    @every_payer
    def test_recovery_of_a_session_put_back_without_a_task_refunds_nothing_either(
        self, platform: Producer, sql: WorkerSql, root: Superuser, payer: Payer
    ) -> None:
        submitted = payer(platform, 1)
        sql.fail(submitted.session, None)
        platform.set_status(submitted.session, SessionStatus.PROCESSING)
        answer = sql.fail(submitted.session, None)
        assert answer == failed(submitted, "already_refunded", 0)
        assert ledger_faults(root.connection) == []


class TestAllOrNothing:
    @pytest.mark.parametrize("payer", [user, store], ids=lambda payer: payer.__name__)
    def test_a_refund_the_platform_refuses_leaves_everything_as_it_was_and_can_be_given_later(
        self, platform: Producer, sql: WorkerSql, root: Superuser, payer: Payer
    ) -> None:
        submitted = payer(platform, 1)
        run = sql.claimed(submitted.session)
        tables: dict[Payer, str] = {user: "user_credits", store: "store_credits"}
        refusal = f"CHECK (balance < {BALANCE}) NOT VALID"
        root.execute(f"ALTER TABLE {tables[payer]} ADD CONSTRAINT frozen_for_a_while {refusal}")
        before = root.everything()
        with pytest.raises(psycopg.errors.CheckViolation, match="frozen_for_a_while"):
            sql.fail(submitted.session, run.fence)
        assert root.everything() == before

        root.execute(f"ALTER TABLE {tables[payer]} DROP CONSTRAINT frozen_for_a_while")
        assert sql.fail(submitted.session, run.fence)["refund"] == {"kind": PAYERS[payer], "credits": 1}
        assert ledger_faults(root.connection) == []
