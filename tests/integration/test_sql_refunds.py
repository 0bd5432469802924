"""What a failure gives back: exactly what the producer charged, to whoever paid, once per session for ever (FR-2)."""

from collections.abc import Callable
from uuid import uuid4

import psycopg
import pytest

from models.generation import Channel, SessionRef, SessionStatus
from sandbox.producer import Producer, StoreMode, Submitted
from tests.support.ledger_audit import ledger_faults, platform_expires
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
        assert platform_expires(root.connection, submitted.session)
        before = root.everything()
        assert sql.complete(run)["outcome"] == "settled"
        assert sql.fail(submitted.session, run.fence)["outcome"] == "settled"
        assert sql.release(run)["outcome"] == "settled"
        assert root.everything() == before
        assert ledger_faults(root.connection) == []

    @pytest.mark.parametrize("payer", [store, shopper], ids=lambda payer: payer.__name__)
    def test_a_refund_it_has_given_already_is_not_given_again(
        self, platform: Producer, sql: WorkerSql, root: Superuser, payer: Payer
    ) -> None:
        """Between its refund and its write of the status, the row still looks open."""
        submitted = payer(platform, 3)
        run = sql.claimed(submitted.session)
        if payer is shopper:
            [(email,)] = root.rows(
                "SELECT shopper_email FROM store_shopper_credits WHERE store_id = %s", submitted.owner_id
            )
            root.execute(
                "SELECT refund_store_shopper_credits(%s, %s, 3, %s)", submitted.owner_id, email, submitted.request_id
            )
        else:
            root.execute("SELECT refund_store_credits(%s, 3, %s)", submitted.owner_id, submitted.request_id)
        before = balances_of(platform, submitted), ledger_of(platform, submitted)

        answer = sql.fail(submitted.session, run.fence)

        assert answer == failed(submitted, "already_refunded", 0)
        assert (balances_of(platform, submitted), ledger_of(platform, submitted)) == before
        assert refund_row(root, submitted.session)["by_platform"] is True
        assert platform.session(submitted.session).status is SessionStatus.FAILED
        assert ledger_faults(root.connection) == []


class TestTheSessionsOwnRecordsDecide:
    def set_mode(self, root: Superuser, submitted: Submitted, mode: str) -> None:
        root.execute("UPDATE stores SET billing_mode = %s WHERE id = %s", mode, submitted.owner_id)

    @pytest.mark.parametrize(
        ("payer", "mode_of_today"),
        [(store, "resell_mode"), (shopper, "absorb_mode"), (overage, "resell_mode")],
        ids=["a store that sells on now", "a store that pays itself now", "an overage of a store that sells on now"],
    )
    def test_and_not_the_store_s_billing_mode_of_today(
        self, platform: Producer, sql: WorkerSql, root: Superuser, payer: Payer, mode_of_today: str
    ) -> None:
        submitted = payer(platform, 3)
        self.set_mode(root, submitted, mode_of_today)
        answer = sql.fail(submitted.session, sql.claimed(submitted.session).fence)
        assert answer["refund"] == {"kind": PAYERS[payer], "credits": 3}
        assert ledger_faults(root.connection) == []

    @pytest.mark.parametrize("mode_of_today", ["resell_mode", "absorb_mode"])
    def test_a_shopper_is_found_however_the_address_is_spelled(
        self, platform: Producer, sql: WorkerSql, root: Superuser, mode_of_today: str
    ) -> None:
        submitted = shopper(platform, 1)
        root.execute(
            "UPDATE store_generation_sessions SET shopper_email = upper(shopper_email) WHERE id = %s",
            submitted.session.session_id,
        )
        self.set_mode(root, submitted, mode_of_today)
        answer = sql.fail(submitted.session, sql.claimed(submitted.session).fence)
        assert answer["refund"] == {"kind": "shopper_credit", "credits": 1}
        assert balances_of(platform, submitted) == [0, BALANCE]
        assert ledger_faults(root.connection) == []

    @pytest.mark.parametrize("payer", [store, shopper], ids=lambda payer: payer.__name__)
    def test_a_session_without_a_request_id_is_refunded_once_too(
        self, platform: Producer, sql: WorkerSql, root: Superuser, payer: Payer
    ) -> None:
        submitted = payer(platform, 1)
        for table, key in (("store_generation_sessions", "store_id"), ("store_credit_transactions", "store_id")):
            root.execute(f"UPDATE {table} SET request_id = NULL WHERE {key} = %s", submitted.owner_id)  # noqa: S608 - constants
        run = sql.claimed(submitted.session)
        assert sql.fail(submitted.session, run.fence)["refund"] == {"kind": PAYERS[payer], "credits": 1}
        [refund] = [entry for entry in platform.ledger() if entry.owner_id == submitted.owner_id and entry.amount > 0]
        assert (refund.type, refund.amount) == ("refund", 1)
        assert refund.request_id == str(submitted.session.session_id), "else nobody can tell what it was for"
        assert refund_row(root, submitted.session)["request_id"] is None
        assert ledger_faults(root.connection) == []

    def test_two_sessions_of_one_request_were_charged_once_and_are_refunded_once(
        self, platform: Producer, sql: WorkerSql, root: Superuser
    ) -> None:
        """The request id is the idempotency key of the charge: the partner's retry made a second row."""
        submitted = store(platform, 1)
        [(again,)] = root.rows(
            "INSERT INTO store_generation_sessions (store_id, request_id) VALUES (%s, %s) RETURNING id",
            submitted.owner_id,
            submitted.request_id,
        )
        for session in (submitted.session, SessionRef(submitted.session.channel, again)):
            assert sql.fail(session, None)["outcome"] == "failed"
        assert balances_of(platform, submitted) == [BALANCE]


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
        assert sql.claim(run)["outcome"] == "exhausted"
        assert sql.complete(run)["outcome"] == "lost"
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


def test_a_row_with_the_address_of_nobody_who_ever_had_credits_was_charged_to_the_store(
    platform: Producer, sql: WorkerSql, root: Superuser
) -> None:
    """The store charged itself, noted an address, and then switched to reselling."""
    submitted = store(platform, 1)
    run = sql.claimed(submitted.session)
    root.execute(
        "UPDATE store_generation_sessions SET shopper_email = 'guest@example.com' WHERE id = %s",
        submitted.session.session_id,
    )
    root.execute("UPDATE stores SET billing_mode = 'resell_mode' WHERE id = %s", submitted.owner_id)
    assert sql.fail(submitted.session, run.fence)["refund"] == {"kind": "store_credit", "credits": 1}
    assert ledger_faults(root.connection) == []


class TestAllOrNothing:
    @pytest.mark.parametrize("payer", [user, store], ids=lambda payer: payer.__name__)
    def test_a_refund_the_platform_refuses_leaves_everything_as_it_was_and_can_be_given_later(
        self, platform: Producer, sql: WorkerSql, root: Superuser, payer: Payer
    ) -> None:
        submitted = payer(platform, 1)
        run = sql.claimed(submitted.session)
        tables: dict[Payer, str] = {user: "user_credits", store: "store_credits"}
        owner = "user_id" if payer is user else "store_id"
        root.execute(
            f"CREATE TEMPORARY TABLE closed_account AS SELECT * FROM {tables[payer]} WHERE {owner} = %s",  # noqa: S608 - constants
            submitted.owner_id,
        )
        root.execute(f"DELETE FROM {tables[payer]} WHERE {owner} = %s", submitted.owner_id)  # noqa: S608 - constants
        before = root.everything()
        with pytest.raises(psycopg.errors.RaiseException, match="account"):
            sql.fail(submitted.session, run.fence)
        assert root.everything() == before

        root.execute(f"INSERT INTO {tables[payer]} SELECT * FROM closed_account")  # noqa: S608 - constants
        root.execute("DROP TABLE closed_account")
        assert sql.fail(submitted.session, run.fence)["refund"] == {"kind": PAYERS[payer], "credits": 1}
        assert ledger_faults(root.connection) == []
