"""Who paid for a store's session is told by the ledger of its request, and by nothing else (FR-2)."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from models.generation import SessionRef
from sandbox.platform.producer import Producer, StoreMode, Submitted
from tests.support.ledger_audit import ledger_faults
from tests.support.worker_sql import Answer, Superuser, WorkerSql

BALANCE: Final = 10
KINDS: Final = {
    StoreMode.ABSORB: "store_credit",
    StoreMode.RESELL: "shopper_credit",
    StoreMode.OVERAGE: "store_overage",
}

every_mode = pytest.mark.parametrize("mode", StoreMode)


def failed(sql: WorkerSql, session: SessionRef) -> Answer:
    """Run it, give it up; what was given back."""
    answer: Answer = sql.fail(session, sql.claimed(session).fence)["refund"]
    return answer


def refund_row(root: Superuser, session: SessionRef) -> dict[str, Any]:
    [row] = [row for row in root.refunds() if row["session_id"] == session.session_id]
    return row


def everybodys_balances(platform: Producer) -> tuple[object, object, object]:
    balances = platform.balances()
    return balances.users, balances.stores, balances.shoppers


class TestAnAddressOnTheRow:
    def test_does_not_make_its_shopper_the_payer_however_much_that_shopper_spent_before(
        self, platform: Producer, sql: WorkerSql, root: Superuser
    ) -> None:
        """Sixteen failures of stores that pay themselves and once resold: every credit goes back to the store."""
        for _ in range(16):
            store = platform.new_store(balance=BALANCE)
            platform.let_shopper_pay_once(store, balance=BALANCE)
            submitted = platform.submit_b2b([], store=store, push=False)
            assert failed(sql, submitted.session) == {"kind": "store_credit", "credits": 1}
            balances = platform.balances()
            assert balances.stores[store.store_id] == BALANCE
            assert balances.shoppers[store.store_id, store.shopper_email or ""] == BALANCE - 1
        assert ledger_faults(root.connection) == []

    @every_mode
    @pytest.mark.parametrize("address_now", [None, "somebody.else@example.com"])
    def test_is_not_even_looked_at(
        self, platform: Producer, sql: WorkerSql, root: Superuser, mode: StoreMode, address_now: str | None
    ) -> None:
        submitted = platform.submit_b2b([], mode=mode, push=False)
        root.execute(
            "UPDATE store_generation_sessions SET shopper_email = %s WHERE id = %s",
            address_now,
            submitted.session.session_id,
        )
        assert failed(sql, submitted.session)["kind"] == KINDS[mode]
        assert ledger_faults(root.connection) == []

    @every_mode
    @pytest.mark.parametrize("mode_now", ["absorb_mode", "resell_mode"])
    def test_nor_is_the_store_s_billing_mode_of_today(
        self, platform: Producer, sql: WorkerSql, root: Superuser, mode: StoreMode, mode_now: str
    ) -> None:
        submitted = platform.submit_b2b([], mode=mode, credits_used=3, push=False)
        root.execute("UPDATE stores SET billing_mode = %s WHERE id = %s", mode_now, submitted.owner_id)
        assert failed(sql, submitted.session) == {"kind": KINDS[mode], "credits": 3}
        assert ledger_faults(root.connection) == []


class TestTheEndingOfADeduction:
    @pytest.mark.parametrize(
        ("description", "shopper"),
        [
            ("Generation (shopper=a@b.example)", "a@b.example"),
            ("Generation (shopper=A@B.example)", "a@b.example"),
            ("Try-on (shopper=x) (shopper=a@b.example)", "a@b.example"),
            (" (shopper=a@b.example)", "a@b.example"),
            ("two\nlines (shopper=a@b.example)", "a@b.example"),
            ("Generation (shopper=a@b.example) of Tuesday", None),
            ("Generation(shopper=a@b.example)", None),
            ("Generation (shopper=)", None),
            ("Generation", None),
            ("", None),
            (None, None),
        ],
    )
    def test_names_the_shopper_and_nothing_but_an_ending_does(
        self, root: Superuser, platform: Producer, description: str | None, shopper: str | None
    ) -> None:
        assert root.rows("SELECT wearon_worker.shopper_of(%s)", description) == [(shopper,)]

    def test_is_repeated_by_the_refund(self, platform: Producer, sql: WorkerSql) -> None:
        store = platform.new_store(StoreMode.RESELL)
        submitted = platform.submit_b2b([], store=store, push=False)
        failed(sql, submitted.session)
        [refund] = [line for line in platform.ledger() if line.owner_id == store.store_id and line.type == "refund"]
        assert refund.description == f"Refund: the try-on could not be made (shopper={store.shopper_email})"
        assert refund.request_id == submitted.request_id

    @pytest.mark.parametrize("mode", [StoreMode.ABSORB, StoreMode.RESELL])
    def test_and_its_amount_is_what_goes_back_whatever_the_row_says(
        self, platform: Producer, sql: WorkerSql, root: Superuser, mode: StoreMode
    ) -> None:
        submitted = platform.submit_b2b([], mode=mode, credits_used=2, push=False)
        root.execute(
            "UPDATE store_generation_sessions SET credits_used = 5 WHERE id = %s", submitted.session.session_id
        )
        assert failed(sql, submitted.session)["credits"] == 2
        assert ledger_faults(root.connection) == []


def lost_line(platform: Producer) -> Submitted:
    return platform.submit_b2b([], mode=StoreMode.OVERAGE, push=False, overage_line_is_lost=True)


def everything_lost(platform: Producer) -> Submitted:
    return platform.submit_b2b([], mode=StoreMode.OVERAGE, push=False, overage_line_is_lost=True, metadata_is_lost=True)


def without_a_request(platform: Producer) -> Submitted:
    """The row names no request, so no line of the ledger is surely its own."""
    submitted = platform.submit_b2b([], push=False)
    platform.execute(
        "UPDATE store_generation_sessions SET request_id = NULL WHERE id = %s", submitted.session.session_id
    )
    platform.execute("DELETE FROM store_credit_transactions WHERE request_id = %s", submitted.request_id)
    platform.execute("UPDATE store_credits SET balance = balance + 1 WHERE store_id = %s", submitted.owner_id)
    return submitted


class TestAChargeThatTheLedgerDoesNotProve:
    @pytest.mark.parametrize("submit", [lost_line, everything_lost, without_a_request])
    def test_moves_no_balance_and_is_on_record_for_billing(
        self, platform: Producer, sql: WorkerSql, root: Superuser, submit: Callable[[Producer], Submitted]
    ) -> None:
        [(beginning,)] = root.rows("SELECT clock_timestamp()")
        submitted = [submit(platform) for _ in range(4)]
        before = everybodys_balances(platform), platform.ledger()

        answers = [failed(sql, each.session) for each in submitted]

        assert answers == [{"kind": "unproven_charge", "credits": 1}] * 4
        assert (everybodys_balances(platform), platform.ledger()) == before
        shown = sql.call("unproven_charges", since=beginning)
        assert [(row["store_id"], row["session_id"], row["kind"], row["credits"]) for row in shown] == [
            (each.owner_id, each.session.session_id, "unproven_charge", 1) for each in submitted
        ]
        assert ledger_faults(root.connection) == []

    def test_is_shown_with_what_the_session_s_metadata_says_of_an_outside_charge(
        self, platform: Producer, sql: WorkerSql, root: Superuser
    ) -> None:
        submitted = lost_line(platform)
        [(metadata,)] = root.rows(
            "SELECT metadata FROM store_generation_sessions WHERE id = %s", submitted.session.session_id
        )
        failed(sql, submitted.session)
        assert set(metadata) == {"overage_charge_id", "overage_tier"}
        assert refund_row(root, submitted.session)["evidence"] == metadata

    @pytest.mark.parametrize("metadata", ["null", '"text"', "[]", "{}", '{"other": 1}'])
    def test_may_have_metadata_that_say_nothing(
        self, platform: Producer, sql: WorkerSql, root: Superuser, metadata: str
    ) -> None:
        submitted = lost_line(platform)
        root.execute(
            "UPDATE store_generation_sessions SET metadata = %s WHERE id = %s", metadata, submitted.session.session_id
        )
        assert failed(sql, submitted.session)["kind"] == "unproven_charge"
        assert refund_row(root, submitted.session)["evidence"] is None

    def test_stays_as_it_is_when_the_picture_is_made(self, platform: Producer, sql: WorkerSql, root: Superuser) -> None:
        [(beginning,)] = root.rows("SELECT clock_timestamp()")
        submitted = lost_line(platform)
        assert sql.complete(sql.claimed(submitted.session))["outcome"] == "completed"
        assert sql.call("unproven_charges", since=beginning) == []
        assert ledger_faults(root.connection) == []


def test_both_a_deduction_and_an_overage_undo_the_deduction_and_show_billing_the_overage(
    platform: Producer, sql: WorkerSql, root: Superuser
) -> None:
    """A partner's second try with the same request, after somebody filled up the store's balance."""
    [(beginning,)] = root.rows("SELECT clock_timestamp()")
    submitted = platform.submit_b2b([], push=False)
    root.execute("SELECT log_store_overage(%s, %s)", submitted.owner_id, submitted.request_id)
    assert failed(sql, submitted.session) == {"kind": "store_credit", "credits": 1}
    assert platform.balances().stores[submitted.owner_id] == BALANCE
    [shown] = sql.call("unproven_charges", since=beginning)
    assert (shown["kind"], shown["evidence"]) == ("store_credit", {"overage_beside_deduction": True})
    assert ledger_faults(root.connection) == []


def second_try(root: Superuser, submitted: Submitted) -> SessionRef:
    """Another session of the same request."""
    [(again,)] = root.rows(
        "INSERT INTO store_generation_sessions (store_id, request_id) VALUES (%s, %s) RETURNING id",
        submitted.owner_id,
        submitted.request_id,
    )
    return SessionRef(submitted.session.channel, again)


def test_two_sessions_of_one_request_were_charged_once_and_are_refunded_once(
    platform: Producer, sql: WorkerSql, root: Superuser
) -> None:
    """The request id is the idempotency key of the charge: the partner's retry made a second row."""
    submitted = platform.submit_b2b([], push=False)
    second = second_try(root, submitted)
    run = sql.claimed(second)
    assert failed(sql, submitted.session) == {"kind": "store_credit", "credits": 1}
    assert sql.complete(run)["outcome"] == "refunded", "what was given back is not delivered"
    assert sql.fail(second, None)["refund"] == {"kind": "already_refunded", "credits": 0}
    assert platform.balances().stores[submitted.owner_id] == BALANCE
    assert ledger_faults(root.connection) == []


@pytest.mark.parametrize(("is_overage", "kind"), [(True, "store_overage"), (False, "unproven_charge")])
@pytest.mark.parametrize("mode", [StoreMode.ABSORB, StoreMode.RESELL])
def test_a_deduction_that_paid_for_a_completed_session_is_not_given_back_for_the_partner_s_second_try(
    platform: Producer, sql: WorkerSql, root: Superuser, *, mode: StoreMode, is_overage: bool, kind: str
) -> None:
    """The first try took the last credit, so the second was let through and charged outside, if at all."""
    submitted = platform.submit_b2b([], mode=mode, push=False)
    second = second_try(root, submitted)
    if is_overage:
        root.execute("SELECT log_store_overage(%s, %s)", submitted.owner_id, submitted.request_id)
    assert sql.complete(sql.claimed(submitted.session))["outcome"] == "completed"
    before = everybodys_balances(platform)
    assert failed(sql, second) == {"kind": kind, "credits": 1}
    assert everybodys_balances(platform) == before
    assert refund_row(root, second)["evidence"] == {"deduction_paid_for_another_session": True}
    assert ledger_faults(root.connection) == []


def test_one_request_id_of_two_stores_are_two_requests(platform: Producer, sql: WorkerSql, root: Superuser) -> None:
    resold = platform.submit_b2b([], mode=StoreMode.RESELL, credits_used=3, push=False)
    failing, completing, late = (platform.submit_b2b([], push=False) for _ in range(3))
    for submitted in (failing, completing, late):
        for table in ("store_credit_transactions", "store_generation_sessions"):
            root.execute(
                f"UPDATE {table} SET request_id = %s WHERE request_id = %s",  # noqa: S608 - constants
                resold.request_id,
                submitted.request_id,
            )
    runs = [sql.claimed(submitted.session) for submitted in (failing, completing, late)]
    assert sql.complete(runs[1])["outcome"] == "completed"
    assert failed(sql, resold.session) == {"kind": "shopper_credit", "credits": 3}
    assert sql.fail(failing.session, runs[0].fence)["refund"] == {"kind": "store_credit", "credits": 1}
    assert sql.complete(runs[2])["outcome"] == "completed", "refunds of the others' are not its own"
    assert ledger_faults(root.connection) == []


def test_a_platform_without_the_metadata_column_is_served_as_well(platform: Producer, root: Superuser) -> None:
    submitted = lost_line(platform)
    root.execute("BEGIN")
    try:
        root.execute("ALTER TABLE store_generation_sessions DROP COLUMN metadata")
        [(answer,)] = root.rows(
            "SELECT wearon_worker_fail_v2('b2b', %s, NULL, 'Sorry.', 'task_lost')", submitted.session.session_id
        )
        assert answer["refund"] == {"kind": "unproven_charge", "credits": 1}
    finally:
        root.execute("ROLLBACK")
