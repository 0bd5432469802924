"""What is settled stays settled, whoever opens its row again; and a charge whose account is gone ends, too."""

from typing import Final
from uuid import uuid4

import pytest

from models.generation import Channel
from sandbox.platform.producer import Producer, StoreMode, Submitted
from tests.support.ledger_audit import ledger_faults
from tests.support.platform_acts import give_up, refund
from tests.support.worker_sql import Run, Superuser, WorkerSql

BALANCE: Final = 10
TABLES: Final = {Channel.B2C: "generation_sessions", Channel.B2B: "store_generation_sessions"}
both_channels = pytest.mark.parametrize("channel", TABLES, ids=lambda channel: channel.value)


def submitted_to(platform: Producer, channel: Channel) -> Submitted:
    return platform.submit_b2c([], push=False) if channel is Channel.B2C else platform.submit_b2b([], push=False)


def open_again(root: Superuser, submitted: Submitted, status: str) -> None:
    table = TABLES[submitted.session.channel]
    root.execute(
        f"UPDATE {table} SET status = %s WHERE id = %s",  # noqa: S608 - a constant
        status,
        submitted.session.session_id,
    )


@both_channels
@pytest.mark.parametrize("status", ["queued", "processing"])
def test_a_delivered_session_that_is_opened_again_is_not_run_again(
    platform: Producer, sql: WorkerSql, root: Superuser, channel: Channel, status: str
) -> None:
    submitted = submitted_to(platform, channel)
    assert sql.complete(sql.claimed(submitted.session))["outcome"] == "completed"
    open_again(root, submitted, status)
    assert sql.claim(Run(submitted.session, sql.executor(), uuid4())) == {"outcome": "settled", "status": "completed"}
    assert platform.session(submitted.session).status.value == "completed"


@both_channels
@pytest.mark.parametrize("status", ["queued", "processing"])
def test_a_delivered_session_that_is_opened_again_is_closed_by_recovery_and_nothing_is_given_back(
    platform: Producer, sql: WorkerSql, root: Superuser, channel: Channel, status: str
) -> None:
    submitted = submitted_to(platform, channel)
    assert sql.complete(sql.claimed(submitted.session))["outcome"] == "completed"
    before = platform.balances()
    open_again(root, submitted, status)
    assert sql.fail(submitted.session, None) == {"outcome": "settled", "status": "completed"}
    assert platform.session(submitted.session).status.value == "completed"
    assert platform.balances() == before
    assert [row for row in root.refunds() if row["session_id"] == submitted.session.session_id] == []
    assert ledger_faults(root.connection) == []


@both_channels
def test_a_delivered_session_that_was_given_back_and_opened_again_ends_as_failed(
    platform: Producer, sql: WorkerSql, root: Superuser, channel: Channel
) -> None:
    submitted = submitted_to(platform, channel)
    assert sql.complete(sql.claimed(submitted.session))["outcome"] == "completed"
    open_again(root, submitted, "processing")
    give_up(root.connection, submitted.session)
    balances = platform.balances()
    open_again(root, submitted, "queued")
    run = Run(submitted.session, sql.executor(), uuid4())
    assert sql.claim(run)["outcome"] == "refunded"
    assert sql.fail(submitted.session, run.fence)["refund"]["kind"] == "already_refunded"
    assert platform.session(submitted.session).status.value == "failed"
    assert platform.balances() == balances
    assert ledger_faults(root.connection) == []


def test_a_delivered_session_whose_job_did_only_its_first_step_ends_as_failed(
    platform: Producer, sql: WorkerSql, root: Superuser
) -> None:
    submitted = platform.submit_b2c([], push=False)
    assert sql.complete(sql.claimed(submitted.session))["outcome"] == "completed"
    open_again(root, submitted, "processing")
    refund(root.connection, submitted.session)
    assert sql.fail(submitted.session, None)["refund"]["kind"] == "already_refunded"
    assert platform.session(submitted.session).status.value == "failed"
    assert ledger_faults(root.connection) == []


def test_of_two_sessions_of_a_request_the_delivered_one_ends_as_failed_when_the_other_got_the_charge_back_meanwhile(
    platform: Producer, sql: WorkerSql, root: Superuser
) -> None:
    first = platform.submit_b2b([], push=False)
    assert sql.complete(sql.claimed(first.session))["outcome"] == "completed"
    open_again(root, first, "processing")
    [(second,)] = root.rows(
        "INSERT INTO store_generation_sessions (store_id, request_id) VALUES (%s, %s) RETURNING id",
        first.owner_id,
        first.request_id,
    )
    assert sql.fail(type(first.session)(Channel.B2B, second), None)["outcome"] == "failed"
    sql.fail(first.session, None)
    assert platform.session(first.session).status.value == "failed"
    assert ledger_faults(root.connection) == []


def test_a_delivered_session_that_is_closed_again_has_no_error_any_more(
    platform: Producer, sql: WorkerSql, root: Superuser
) -> None:
    submitted = platform.submit_b2c([], push=False)
    assert sql.complete(sql.claimed(submitted.session))["outcome"] == "completed"
    root.execute(
        "UPDATE generation_sessions SET status = 'processing', error_message = 'timed out' WHERE id = %s",
        submitted.session.session_id,
    )
    sql.fail(submitted.session, None)
    assert platform.session(submitted.session).error_message is None


def without_account(root: Superuser, submitted: Submitted, mode: StoreMode | None) -> None:
    """As when a person or a shopper is deleted while the picture is made."""
    if mode is None:
        root.execute("DELETE FROM user_credits WHERE user_id = %s", submitted.owner_id)
    elif mode is StoreMode.RESELL:
        root.execute("DELETE FROM store_shopper_credits WHERE store_id = %s", submitted.owner_id)
    else:
        root.execute("DELETE FROM store_credits WHERE store_id = %s", submitted.owner_id)


@pytest.mark.parametrize("owns", [True, False], ids=["by the run", "by recovery"])
@pytest.mark.parametrize("mode", [None, StoreMode.ABSORB, StoreMode.RESELL], ids=["user", "store", "shopper"])
def test_a_session_whose_account_is_gone_ends_and_billing_learns_of_its_charge(
    platform: Producer, sql: WorkerSql, root: Superuser, *, mode: StoreMode | None, owns: bool
) -> None:
    [(beginning,)] = root.rows("SELECT clock_timestamp()")
    submitted = platform.submit_b2c([], push=False) if mode is None else platform.submit_b2b([], mode=mode, push=False)
    fence = sql.claimed(submitted.session).fence if owns else None
    without_account(root, submitted, mode)
    lines_before = platform.ledger()
    assert sql.fail(submitted.session, fence)["refund"] == {"kind": "unproven_charge", "credits": 1}
    assert platform.session(submitted.session).status.value == "failed"
    assert platform.ledger() == lines_before, "no line by which nobody gets anything"
    [shown] = sql.call("unproven_charges", since=beginning)
    assert (shown["kind"], shown["evidence"]) == ("unproven_charge", {"account_is_gone": True})
    assert ledger_faults(root.connection) == [], "nobody is there to whom it could be given back"


@pytest.mark.parametrize("mode", [StoreMode.ABSORB, StoreMode.RESELL])
def test_a_charge_that_the_platform_gave_back_before_the_account_went_is_no_matter_for_billing(
    platform: Producer, sql: WorkerSql, root: Superuser, mode: StoreMode
) -> None:
    [(beginning,)] = root.rows("SELECT clock_timestamp()")
    submitted = platform.submit_b2b([], mode=mode, push=False)
    refund(root.connection, submitted.session)
    without_account(root, submitted, mode)
    assert sql.fail(submitted.session, None)["refund"] == {"kind": "already_refunded", "credits": 0}
    assert sql.call("unproven_charges", since=beginning) == []


@pytest.mark.parametrize("delivered", [True, False])
def test_the_overage_of_a_request_with_two_sessions_is_told_to_billing_with_that_hint(
    platform: Producer, sql: WorkerSql, root: Superuser, *, delivered: bool
) -> None:
    """Each try may have been charged outside, and the ledger can prove one."""
    [(beginning,)] = root.rows("SELECT clock_timestamp()")
    first = platform.submit_b2b([], mode=StoreMode.OVERAGE, push=False)
    [(second,)] = root.rows(
        "INSERT INTO store_generation_sessions (store_id, request_id) VALUES (%s, %s) RETURNING id",
        first.owner_id,
        first.request_id,
    )
    if delivered:
        assert sql.complete(sql.claimed(first.session))["outcome"] == "completed"
    else:
        assert sql.fail(first.session, None)["refund"]["kind"] == "store_overage"
    again = type(first.session)(Channel.B2B, second)
    assert sql.fail(again, None)["refund"] == {"kind": "store_overage", "credits": 1}
    [shown] = sql.call("unproven_charges", since=beginning)
    assert (shown["session_id"], shown["kind"]) == (second, "store_overage")
    assert shown["evidence"] == {"overage_of_another_session": True}


def test_what_the_platform_failed_after_we_delivered_is_left_as_it_is(
    platform: Producer, sql: WorkerSql, root: Superuser
) -> None:
    submitted = platform.submit_b2c([], push=False)
    assert sql.complete(sql.claimed(submitted.session))["outcome"] == "completed"
    open_again(root, submitted, "processing")
    give_up(root.connection, submitted.session)
    assert sql.fail(submitted.session, None)["outcome"] == "settled"
    assert platform.session(submitted.session).status.value == "failed"
