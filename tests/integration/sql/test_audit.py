"""The operator's audit: right books answer nothing, and every way they can be wrong is named, with its proof."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import pytest

from sandbox.platform.jobs import refund_failed_push
from sandbox.platform.producer import Producer, StoreMode, Submitted
from tests.support.platform_acts import fail, give_up, refund
from tests.support.worker_sql import Superuser, WorkerSql

BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def nothing_else(platform: Producer) -> None:
    """Accounts of other tests would be named too."""
    platform.wipe()


def audit(sql: WorkerSql, since: datetime = BEGINNING) -> list[dict[str, Any]]:
    return sql.call("audit", since=since)


def verdict(rows: list[dict[str, Any]]) -> set[tuple[str, str, bool]]:
    """Rule, proof, and whether a session is named, of each row."""
    return {(row["rule"], row["proof"], row["session_id"] is not None) for row in rows}


def user(platform: Producer, credits_used: int = 1) -> Submitted:
    return platform.submit_b2c([], credits_used=credits_used, push=False)


def store(platform: Producer, credits_used: int = 1) -> Submitted:
    return platform.submit_b2b([], credits_used=credits_used, push=False)


def shopper(platform: Producer, credits_used: int = 1) -> Submitted:
    return platform.submit_b2b([], mode=StoreMode.RESELL, credits_used=credits_used, push=False)


def overage(platform: Producer) -> Submitted:
    return platform.submit_b2b([], mode=StoreMode.OVERAGE, push=False)


def lost_overage(platform: Producer) -> Submitted:
    return platform.submit_b2b([], mode=StoreMode.OVERAGE, push=False, overage_line_is_lost=True)


PAYERS: Final = (user, store, shopper, overage, lost_overage)


class TestRightBooks:
    def test_name_nobody_whatever_became_of_the_sessions(
        self, platform: Producer, sql: WorkerSql, root: Superuser
    ) -> None:
        for payer in PAYERS:
            payer(platform)
            sql.complete(sql.claimed(payer(platform).session))
            sql.claimed(payer(platform).session)
            failed = sql.claimed(payer(platform).session)
            sql.fail(failed.session, failed.fence)
            sql.fail(payer(platform).session, None)
            give_up(root.connection, payer(platform).session)
        for payer in (user, store, shopper):
            refund(root.connection, payer(platform).session)
        assert audit(sql) == []

    def test_name_nobody_for_a_push_that_failed_or_a_row_that_was_never_inserted(
        self, platform: Producer, sql: WorkerSql, root: Superuser
    ) -> None:
        for payer in PAYERS:
            submitted = payer(platform)
            refund_failed_push(platform.execute, submitted)
            fail(root.connection, submitted.session)
        without_row = [user(platform), store(platform)]
        for submitted in without_row:
            refund_failed_push(platform.execute, submitted)
            root.execute("DELETE FROM generation_sessions WHERE id = %s", submitted.session.session_id)
            root.execute("DELETE FROM store_generation_sessions WHERE id = %s", submitted.session.session_id)
        assert audit(sql) == []

    def test_name_nobody_for_a_charge_that_is_older_than_the_worker(
        self, platform: Producer, sql: WorkerSql, root: Superuser
    ) -> None:
        """Sessions from before were failed without a refund, and refunded without a word."""
        for payer in (user, store, shopper):
            fail(root.connection, payer(platform).session)
        forgotten = audit(sql)
        root.execute("UPDATE credit_transactions SET created_at = created_at - interval '1 year'")
        root.execute("UPDATE store_credit_transactions SET created_at = created_at - interval '1 year'")
        root.execute("UPDATE generation_sessions SET created_at = created_at - interval '1 year'")
        root.execute("UPDATE store_generation_sessions SET created_at = created_at - interval '1 year'")
        late = user(platform)
        root.execute("UPDATE generation_sessions SET created_at = '2026-01-01' WHERE id = %s", late.session.session_id)
        root.execute("UPDATE credit_transactions SET created_at = '2026-01-01' WHERE user_id = %s", late.owner_id)
        sql.fail(late.session, None)
        assert len(forgotten) == 5, "both store's sessions with their accounts, and a user's account"
        assert audit(sql, datetime.now(UTC) - timedelta(days=1)) == []
        assert {row["owner_id"] for row in audit(sql)} == {row["owner_id"] for row in forgotten}


def line(root: Superuser, submitted: Submitted, amount: int, *, to: str | None = None, by: str = "refund") -> None:
    """A line in a store's ledger that no function wrote."""
    root.execute(
        "INSERT INTO store_credit_transactions (store_id, amount, type, request_id, description)"
        " VALUES (%s, %s, %s, %s, %s)",
        submitted.owner_id,
        amount,
        by,
        submitted.request_id,
        "Refund" if to is None else f"Refund (shopper={to})",
    )


def email_of(submitted: Submitted) -> str:
    assert submitted.charged_store is not None
    assert submitted.charged_store.shopper_email is not None
    return submitted.charged_store.shopper_email


def completed(sql: WorkerSql, submitted: Submitted) -> Submitted:
    assert sql.complete(sql.claimed(submitted.session))["outcome"] == "completed"
    return submitted


Break = Callable[[Producer, WorkerSql, Superuser], Submitted]


def store_failed_and_forgotten(platform: Producer, sql: WorkerSql, root: Superuser) -> Submitted:
    submitted = store(platform)
    fail(root.connection, submitted.session)
    return submitted


def shopper_failed_and_forgotten(platform: Producer, sql: WorkerSql, root: Superuser) -> Submitted:
    submitted = shopper(platform)
    fail(root.connection, submitted.session)
    return submitted


def store_completed_and_refunded(platform: Producer, sql: WorkerSql, root: Superuser) -> Submitted:
    submitted = completed(sql, store(platform))
    line(root, submitted, 1)
    return submitted


def store_refunded_in_part(platform: Producer, sql: WorkerSql, root: Superuser) -> Submitted:
    submitted = store(platform, 3)
    fail(root.connection, submitted.session)
    line(root, submitted, 1)
    return submitted


def shopper_s_credit_given_to_the_store(platform: Producer, sql: WorkerSql, root: Superuser) -> Submitted:
    submitted = shopper(platform)
    fail(root.connection, submitted.session)
    line(root, submitted, 1)
    return submitted


def store_s_credit_given_to_its_shopper(platform: Producer, sql: WorkerSql, root: Superuser) -> Submitted:
    submitted = store(platform)
    fail(root.connection, submitted.session)
    line(root, submitted, 1, to=email_of(submitted))
    return submitted


def overage_given_back_to_a_balance(platform: Producer, sql: WorkerSql, root: Superuser) -> Submitted:
    submitted = overage(platform)
    fail(root.connection, submitted.session)
    line(root, submitted, 1)
    return submitted


def unproven_charge_given_back_to_a_balance(platform: Producer, sql: WorkerSql, root: Superuser) -> Submitted:
    submitted = lost_overage(platform)
    sql.fail(submitted.session, None)
    line(root, submitted, 1)
    return submitted


def overage_off_the_record(platform: Producer, sql: WorkerSql, root: Superuser) -> Submitted:
    submitted = overage(platform)
    sql.fail(submitted.session, None)
    root.execute("DELETE FROM wearon_worker.refunds")
    return submitted


def overage_on_record_as_a_credit(platform: Producer, sql: WorkerSql, root: Superuser) -> Submitted:
    submitted = overage(platform)
    sql.fail(submitted.session, None)
    root.execute("UPDATE wearon_worker.refunds SET kind = 'unproven_charge'")
    return submitted


def lost_overage_on_record_as_nothing(platform: Producer, sql: WorkerSql, root: Superuser) -> Submitted:
    """Billing asks for unproven charges and would not find it."""
    submitted = lost_overage(platform)
    sql.fail(submitted.session, None)
    root.execute("UPDATE wearon_worker.refunds SET kind = 'nothing_charged'")
    return submitted


def on_record_and_not_in_the_ledger(platform: Producer, sql: WorkerSql, root: Superuser) -> Submitted:
    submitted = store(platform)
    sql.fail(submitted.session, None)
    root.execute("DELETE FROM store_credit_transactions WHERE type = 'refund'")
    return submitted


def user_s_session_completed_and_timed_out(platform: Producer, sql: WorkerSql, root: Superuser) -> Submitted:
    submitted = user(platform)
    run = sql.claimed(submitted.session)
    refund(root.connection, submitted.session)
    root.execute("UPDATE generation_sessions SET status = 'completed' WHERE id = %s", run.session.session_id)
    return submitted


def user_refunded_by_worker_and_job(platform: Producer, sql: WorkerSql, root: Superuser) -> Submitted:
    submitted = user(platform)
    sql.fail(submitted.session, None)
    root.execute("UPDATE generation_sessions SET status = 'processing' WHERE id = %s", submitted.session.session_id)
    refund(root.connection, submitted.session)
    fail(root.connection, submitted.session)
    return submitted


def user_refunded_by_an_older_worker_and_the_job(platform: Producer, sql: WorkerSql, root: Superuser) -> Submitted:
    """Its line named nobody; its record did."""
    submitted = user_refunded_by_worker_and_job(platform, sql, root)
    root.execute(
        "UPDATE credit_transactions SET description = 'Refund: the try-on could not be made'"
        " WHERE description LIKE 'Refund:%%'"
    )
    return submitted


def user_refunded_in_part(platform: Producer, sql: WorkerSql, root: Superuser) -> Submitted:
    submitted = user(platform, 3)
    give_up(root.connection, submitted.session)
    return submitted


SESSIONS: Final[dict[Break, set[tuple[str, str, bool]]]] = {
    store_failed_and_forgotten: {("lost", "request", True), ("lost", "request", False)},
    shopper_failed_and_forgotten: {("lost", "request", True), ("lost", "request", False)},
    store_completed_and_refunded: {("completed_and_refunded", "request", True), ("given_back_twice", "request", False)},
    store_refunded_in_part: {("wrong_amount", "request", True), ("lost", "request", False)},
    shopper_s_credit_given_to_the_store: {("wrong_account", "request", True)},
    store_s_credit_given_to_its_shopper: {("wrong_account", "request", True)},
    overage_given_back_to_a_balance: {("wrong_amount", "request", True), ("given_back_twice", "request", False)},
    unproven_charge_given_back_to_a_balance: {
        ("wrong_amount", "request", True),
        ("given_back_twice", "request", False),
    },
    overage_off_the_record: {("not_on_record", "request", True)},
    overage_on_record_as_a_credit: {("not_on_record", "request", True)},
    lost_overage_on_record_as_nothing: {("not_on_record", "request", True)},
    on_record_and_not_in_the_ledger: {("lost", "request", True), ("lost", "request", False)},
    user_s_session_completed_and_timed_out: {
        ("completed_and_refunded", "session", True),
        ("given_back_twice", "account", False),
    },
    user_refunded_by_worker_and_job: {("given_back_twice", "session", True), ("given_back_twice", "account", False)},
    user_refunded_by_an_older_worker_and_the_job: {
        ("given_back_twice", "session", True),
        ("given_back_twice", "account", False),
    },
    user_refunded_in_part: {("wrong_amount", "session", True), ("lost", "account", False)},
}


class TestWrongBooks:
    @pytest.mark.parametrize("broken", SESSIONS, ids=lambda each: each.__name__)
    def test_of_a_session_name_it_and_its_account_and_nobody_else(
        self, platform: Producer, sql: WorkerSql, root: Superuser, broken: Break
    ) -> None:
        submitted = broken(platform, sql, root)
        for payer in PAYERS:
            completed(sql, payer(platform))
        rows = audit(sql)
        assert verdict(rows) == SESSIONS[broken]
        assert {row["session_id"] for row in rows if row["session_id"]} == {submitted.session.session_id}
        assert {row["owner_id"] for row in rows} == {submitted.owner_id}
        assert {row["channel"] for row in rows} == {submitted.session.channel.value}
        assert all(row["fault"] for row in rows)

    def test_are_not_called_right_when_no_time_was_named(
        self, platform: Producer, sql: WorkerSql, root: Superuser
    ) -> None:
        store_failed_and_forgotten(platform, sql, root)
        unproven = lost_overage(platform)
        sql.fail(unproven.session, None)
        assert sql.call("audit", since=None) == audit(sql)
        [charge] = sql.call("unproven_charges", since=None)
        assert charge["session_id"] == unproven.session.session_id

    def test_say_in_numbers_what_is_wrong(self, platform: Producer, sql: WorkerSql, root: Superuser) -> None:
        submitted = store_refunded_in_part(platform, sql, root)
        [session, account] = audit(sql)
        assert session["fault"] == "3 deducted, 1 given back"
        assert account["fault"] == "deducted 3, given back 1, for completed 0, open 0"
        line(root, shopper(platform), 1, to="stranger@example.com")
        assert any("given back to stranger@example.com" in row["fault"] for row in audit(sql))
        assert submitted.owner_id in {row["owner_id"] for row in audit(sql)}

    def test_of_a_user_whose_lines_name_no_session_are_told_by_the_account_alone(
        self, platform: Producer, sql: WorkerSql, root: Superuser
    ) -> None:
        forgotten, twice = user(platform), user(platform)
        fail(root.connection, forgotten.session)
        for _ in range(2):
            refund_failed_push(platform.execute, twice)
        fail(root.connection, twice.session)
        rows = {row["owner_id"]: row for row in audit(sql)}
        assert verdict(list(rows.values())) == {("lost", "account", False), ("given_back_twice", "account", False)}
        assert rows[forgotten.owner_id]["fault"] == "deducted 1, given back 0, for completed 0, open 0"
        assert rows[twice.owner_id]["fault"] == "deducted 1, given back 2, for completed 0, open 0"

    def test_of_a_charge_without_a_session_name_the_account(
        self, platform: Producer, sql: WorkerSql, root: Superuser
    ) -> None:
        of_user, of_store = user(platform), store(platform)
        root.execute("DELETE FROM generation_sessions")
        root.execute("DELETE FROM store_generation_sessions")
        rows = audit(sql)
        assert {row["owner_id"]: row["rule"] for row in rows} == {of_user.owner_id: "lost", of_store.owner_id: "lost"}
        assert any("charged requests without a session: 1" in row["fault"] for row in rows)

    def test_of_one_person_among_many_sessions_are_found(
        self, platform: Producer, sql: WorkerSql, root: Superuser
    ) -> None:
        person = platform.new_user(balance=100)
        for _ in range(10):
            completed(sql, platform.submit_b2c([], user_id=person, push=False))
            sql.fail(platform.submit_b2c([], user_id=person, push=False).session, None)
        assert audit(sql) == []
        root.execute("SELECT refund_credits(%s, 1)", person)
        [row] = audit(sql)
        assert (row["owner_id"], row["rule"]) == (person, "given_back_twice")
        assert row["fault"] == "deducted 20, given back 11, for completed 10, open 0"


@pytest.fixture
def bare_columns(root: Superuser) -> Iterator[None]:
    """Only the columns that the contract names; put back afterwards."""
    root.execute("BEGIN")
    for table in ("credit_transactions", "store_credit_transactions"):
        root.execute(f"ALTER TABLE {table} DROP COLUMN created_at, DROP COLUMN id")
    root.execute("ALTER TABLE store_generation_sessions DROP COLUMN metadata")
    yield
    root.execute("ROLLBACK")


def test_it_needs_no_column_but_those_of_the_contract(platform: Producer, root: Superuser, bare_columns: None) -> None:
    person, shop, request_id = uuid4(), uuid4(), str(uuid4())
    root.execute("INSERT INTO user_credits (user_id, balance) VALUES (%s, 9)", person)
    root.execute(
        "INSERT INTO credit_transactions (user_id, amount, type, description) VALUES (%s, -1, 'generation', 'x')",
        person,
    )
    root.execute("INSERT INTO generation_sessions (user_id, status) VALUES (%s, 'failed')", person)
    root.execute("INSERT INTO stores (id) VALUES (%s)", shop)
    root.execute(
        "INSERT INTO store_credit_transactions (store_id, amount, type, request_id) VALUES (%s, -1, 'deduction', %s)",
        shop,
        request_id,
    )
    root.execute(
        "INSERT INTO store_generation_sessions (store_id, request_id, status) VALUES (%s, %s, 'failed')",
        shop,
        request_id,
    )
    found = root.rows("SELECT rule, owner_id, session_id IS NULL FROM wearon_worker_audit(now() - interval '1 hour')")
    assert sorted(found, key=str) == sorted(
        [("lost", shop, False), ("lost", shop, True), ("lost", person, True)], key=str
    )
