"""The audit of ``make chaos``: right books pass, and every way they can be wrong is named."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import pytest

from models.generation import Channel, SessionRef, SessionStatus
from sandbox.image_host import FAULT_NAMES
from sandbox.openai_sim.faults import FAULTS, parse_markers
from sandbox.producer import StoreMode
from scripts.chaos.api_edge import EdgeFault
from scripts.chaos.audit import REFUND_KINDS, Rule, audit
from scripts.chaos.evidence import AccountEvidence, Evidence, LedgerLine, Limits, Payer, SessionEvidence, WorkerRefund
from scripts.chaos.plan import FIRST_MODEL, WHOLE_KILLS, Blow, Delivery, Outage, is_fatal, make_plan
from scripts.chaos.report import last_line, write_report

LIMITS: Final = Limits(calls_per_session=18, requests_per_minute=150)
GRANTED: Final = 100
CREDITS: Final = 2
FAILED, COMPLETED = SessionStatus.FAILED, SessionStatus.COMPLETED


def session(payer: Payer, status: SessionStatus = FAILED, *, by_platform: bool = False) -> SessionEvidence:
    """A session whose books are right."""
    amount = 1 if payer is Payer.OVERAGE else CREDITS
    failed = status is FAILED
    has_balance = payer is not Payer.OVERAGE
    return SessionEvidence(
        number=7,
        session=SessionRef(Channel.B2C if payer is Payer.USER else Channel.B2B, uuid4()),
        payer=payer,
        account=uuid4(),
        credits=amount,
        status=status,
        error_message="Something went wrong. You have not been charged." if failed else None,
        failed_by_platform=by_platform,
        can_complete=True,
        was_pushed=True,
        worker_refunds=(WorkerRefund(REFUND_KINDS[payer], amount, "moderated"),) if failed and not by_platform else (),
        ledger_refunds=None if payer is Payer.USER else (amount,) if failed and has_balance else (),
        overage_rows=int(payer is Payer.OVERAGE),
        result_fault=None,
        provider_calls=1,
    )


def account_of(session: SessionEvidence) -> AccountEvidence:
    """The right account of a payer who has one session."""
    failed = session.status is FAILED
    if session.payer is Payer.OVERAGE:
        return AccountEvidence(session.account, session.payer, 0, 0, (LedgerLine("overage", -1),))
    charge = LedgerLine("generation" if session.payer is Payer.USER else "deduction", -session.credits)
    refund = (LedgerLine("refund", session.credits),) if failed else ()
    balance = GRANTED if failed else GRANTED - session.credits
    return AccountEvidence(session.account, session.payer, GRANTED, balance, (charge, *refund))


def evidence(session: SessionEvidence, account: AccountEvidence | None = None, **changed: Any) -> Evidence:
    """A run of one session."""
    account = account or account_of(session)
    run = Evidence(
        [session], [account], left_in_redis=0, provider_requests=1, peak_requests_per_minute=LIMITS.requests_per_minute
    )
    return replace(run, **changed)


def broken_rules(run: Evidence) -> set[Rule]:
    """The rules that the audit of a run finds broken."""
    return {violation.rule for violation in audit(run, LIMITS).violations}


@pytest.mark.parametrize("payer", Payer)
@pytest.mark.parametrize(("status", "by_platform"), [(FAILED, False), (FAILED, True), (COMPLETED, False)])
def test_right_books_pass_for_every_payer(payer: Payer, status: SessionStatus, by_platform: bool) -> None:
    assert not broken_rules(evidence(session(payer, status, by_platform=by_platform)))


def refund(payer: Payer, **changed: Any) -> WorkerRefund:
    """The worker's record of a right refund, with something changed."""
    return replace(WorkerRefund(REFUND_KINDS[payer], CREDITS, "moderated"), **changed)


WRONG_SESSIONS: Final[dict[str, tuple[Payer, SessionStatus, dict[str, Any], set[Rule]]]] = {
    "still queued": (Payer.STORE, COMPLETED, {"status": SessionStatus.QUEUED}, {Rule.LOST}),
    "still at work": (Payer.USER, COMPLETED, {"status": SessionStatus.PROCESSING}, {Rule.LOST}),
    "failed without a refund on record": (Payer.USER, FAILED, {"worker_refunds": ()}, {Rule.LOST}),
    "failed without a refund in the ledger": (Payer.SHOPPER, FAILED, {"ledger_refunds": ()}, {Rule.LOST}),
    "an overage that was not recorded": (Payer.OVERAGE, FAILED, {"worker_refunds": ()}, {Rule.LOST}),
    "a pushed task that disappeared": (
        Payer.USER,
        FAILED,
        {"worker_refunds": (refund(Payer.USER, reason="task_lost"),)},
        {Rule.LOST},
    ),
    "refunded by platform and worker": (Payer.USER, FAILED, {"failed_by_platform": True}, {Rule.DOUBLE_REFUND}),
    "refunded twice by the worker": (
        Payer.USER,
        FAILED,
        {"worker_refunds": (refund(Payer.USER),) * 2},
        {Rule.DOUBLE_REFUND},
    ),
    "refunded twice in the ledger": (Payer.STORE, FAILED, {"ledger_refunds": (2, 2)}, {Rule.DOUBLE_REFUND}),
    "open and refunded in the ledger": (
        Payer.STORE,
        COMPLETED,
        {"status": SessionStatus.QUEUED, "ledger_refunds": (2,)},
        {Rule.LOST, Rule.DOUBLE_REFUND},
    ),
    "completed and on record as refunded": (
        Payer.USER,
        COMPLETED,
        {"worker_refunds": (refund(Payer.USER),)},
        {Rule.REFUND_OF_COMPLETED},
    ),
    "completed and refunded in the ledger": (
        Payer.SHOPPER,
        COMPLETED,
        {"ledger_refunds": (2,)},
        {Rule.REFUND_OF_COMPLETED},
    ),
    "refunded to another kind of payer": (
        Payer.SHOPPER,
        FAILED,
        {"worker_refunds": (refund(Payer.STORE),)},
        {Rule.WRONG_BALANCE},
    ),
    "refunded in part on record": (
        Payer.USER,
        FAILED,
        {"worker_refunds": (refund(Payer.USER, credits=1),)},
        {Rule.WRONG_BALANCE},
    ),
    "refunded in part in the ledger": (Payer.STORE, FAILED, {"ledger_refunds": (1,)}, {Rule.WRONG_BALANCE}),
    "an overage given back to a balance": (Payer.OVERAGE, FAILED, {"ledger_refunds": (1,)}, {Rule.WRONG_BALANCE}),
    "an overage logged twice": (Payer.OVERAGE, COMPLETED, {"overage_rows": 2}, {Rule.WRONG_BALANCE}),
    "an overage of somebody with a balance": (Payer.STORE, COMPLETED, {"overage_rows": 1}, {Rule.WRONG_BALANCE}),
    "a refund tried after the platform's": (
        Payer.STORE,
        FAILED,
        {"failed_by_platform": True, "worker_refunds": (refund(Payer.STORE, by_platform=True),)},
        {Rule.OTHER},
    ),
    "completed without a picture": (Payer.USER, COMPLETED, {"result_fault": "no object is stored"}, {Rule.OTHER}),
    "completed with an old message": (Payer.USER, COMPLETED, {"error_message": "Busy."}, {Rule.OTHER}),
    "completed against all odds": (Payer.USER, COMPLETED, {"can_complete": False}, {Rule.OTHER}),
    "failed without a word": (Payer.USER, FAILED, {"error_message": None}, {Rule.OTHER}),
    "too many provider calls": (Payer.USER, FAILED, {"provider_calls": 19}, {Rule.OTHER}),
}


@pytest.mark.parametrize("case", WRONG_SESSIONS)
def test_a_wrong_session_is_named(case: str) -> None:
    payer, status, changed, rules = WRONG_SESSIONS[case]
    right = session(payer, status)
    wrong = replace(right, **changed)

    violations = audit(evidence(wrong, account_of(right)), LIMITS).violations

    of_session = [violation for violation in violations if violation.subject == str(wrong)]
    assert {violation.rule for violation in of_session} == rules
    assert all(violation.session_ids == (wrong.session.session_id,) for violation in of_session)


WRONG_ACCOUNTS: Final[dict[str, tuple[Payer, SessionStatus, dict[str, Any], set[Rule]]]] = {
    "a balance that its ledger does not explain": (
        Payer.USER,
        COMPLETED,
        {"balance": GRANTED - CREDITS + 1},
        {Rule.WRONG_BALANCE},
    ),
    "a charge that is not in the ledger": (Payer.STORE, COMPLETED, {"ledger": ()}, {Rule.WRONG_BALANCE}),
    "a refund too many": (
        Payer.USER,
        FAILED,
        {
            "balance": GRANTED + CREDITS,
            "ledger": (LedgerLine("generation", -CREDITS), *(LedgerLine("refund", CREDITS),) * 2),
        },
        {Rule.WRONG_BALANCE, Rule.DOUBLE_REFUND},
    ),
    "a refund that never came": (
        Payer.USER,
        FAILED,
        {"balance": GRANTED - CREDITS, "ledger": (LedgerLine("generation", -CREDITS),)},
        {Rule.WRONG_BALANCE, Rule.LOST},
    ),
    "a refund of a completed session": (
        Payer.SHOPPER,
        COMPLETED,
        {"balance": GRANTED, "ledger": (LedgerLine("deduction", -CREDITS), LedgerLine("refund", CREDITS))},
        {Rule.WRONG_BALANCE, Rule.DOUBLE_REFUND},
    ),
    "a balance touched for an overage": (Payer.OVERAGE, FAILED, {"balance": 1}, {Rule.WRONG_BALANCE}),
}


@pytest.mark.parametrize("case", WRONG_ACCOUNTS)
def test_a_wrong_account_is_named_although_its_session_looks_right(case: str) -> None:
    payer, status, changed, rules = WRONG_ACCOUNTS[case]
    right = session(payer, status)

    violations = audit(evidence(right, replace(account_of(right), **changed)), LIMITS).violations

    assert {violation.rule for violation in violations} == rules
    assert {violation.session_ids for violation in violations} == {(right.session.session_id,)}


def test_sessions_that_share_an_account_are_added_up() -> None:
    completed, failed = session(Payer.USER, COMPLETED), session(Payer.USER)
    failed = replace(failed, account=completed.account)
    ledger = (*account_of(completed).ledger, *account_of(failed).ledger)
    shared = AccountEvidence(completed.account, Payer.USER, GRANTED, GRANTED - CREDITS, ledger)

    assert not broken_rules(evidence(completed, shared, sessions=[completed, failed]))
    assert broken_rules(evidence(completed, shared, sessions=[completed])) == {Rule.DOUBLE_REFUND}


@pytest.mark.parametrize(
    "changed", [{"left_in_redis": 1}, {"peak_requests_per_minute": 151}, {"strays": ["a Celery process was left"]}]
)
def test_what_concerns_no_session_counts_as_well(changed: dict[str, Any]) -> None:
    assert broken_rules(evidence(session(Payer.USER), **changed)) == {Rule.OTHER}


def test_a_subject_with_several_faults_of_one_kind_counts_once() -> None:
    wrong = replace(session(Payer.STORE), worker_refunds=(), ledger_refunds=())
    verdict = audit(evidence(wrong), LIMITS)

    assert len(verdict.violations) > 1
    assert verdict.count(Rule.LOST) == 1


def test_the_last_line_has_the_figures_in_their_order() -> None:
    right = session(Payer.USER)
    line = last_line(audit(evidence(right), LIMITS), kills=15, redis_restarts=3, seed=42)

    assert line == (
        "sessions=1 completed=0 failed=1 refunded=1 lost=0 double_refunds=0 refunds_of_completed=0 wrong_balance=0 "
        "other_violations=0 provider_calls=1 kills=15 redis_restarts=3 seed=42"
    )


def test_the_report_names_a_violation_with_what_was_logged_about_it(tmp_path: Path) -> None:
    wrong = replace(session(Payer.USER), worker_refunds=())
    session_id = wrong.session.session_id
    log = tmp_path / "worker.log"
    log.write_text(
        f'{{"event": "session_claimed", "session_id": "{session_id}", "timestamp": "2"}}\n'
        f'{{"event": "bad_element_buried", "session_ids": ["{session_id}"], "timestamp": "1"}}\n'
        f'{{"event": "session_claimed", "session_id": "{UUID(int=1)}", "timestamp": "3"}}\n'
        f'{{"event": "cut off by a ki'
    )
    violations = audit(evidence(wrong), LIMITS).violations

    write_report(tmp_path / "report.txt", head=["figures"], violations=violations, logs={"worker-1": log})

    lines = (tmp_path / "report.txt").read_text().splitlines()
    assert lines[0] == "figures"
    assert f"lost: {wrong}: failed, and nobody gave the charge back" in lines
    events = [line for line in lines if line.startswith("  worker-1 ")]
    assert ["bad_element_buried" in events[0], "session_claimed" in events[1], len(events)] == [True, True, 2]


def test_a_seed_stands_for_one_plan() -> None:
    assert make_plan(1, tasks=200, kills=15, workers=2) == make_plan(1, tasks=200, kills=15, workers=2)
    assert make_plan(1, tasks=200, kills=15, workers=2) != make_plan(2, tasks=200, kills=15, workers=2)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_plan_has_every_kind_of_trouble(seed: int) -> None:
    plan = make_plan(seed, tasks=200, kills=15, workers=2)
    markers = {marker.fault.name for task in plan.tasks for marker in parse_markers(task.prompt)}
    blows = [strike.blow for strikes in plan.strikes for strike in strikes]

    assert len(plan.tasks) == 200
    assert markers == set(FAULTS) - {"latency"}
    assert {task.picture for task in plan.tasks} >= set(FAULT_NAMES) - {"no-length"}
    assert {task.delivery for task in plan.tasks} == set(Delivery)
    assert {task.mode for task in plan.tasks} == {None, *StoreMode}
    assert {task.credits for task in plan.tasks} == {1, 2, 3}
    assert {task.credits for task in plan.tasks if task.mode is StoreMode.OVERAGE} == {1}
    assert any(task.expires for task in plan.tasks)
    assert sum(blow in WHOLE_KILLS for blow in blows) == 15
    assert set(blows) == set(Blow)
    assert [outage.outage for outage in plan.outages].count(Outage.REDIS_KILLED) >= 2
    assert {outage.outage for outage in plan.outages} == {*Outage, *EdgeFault}


def test_too_few_tasks_for_every_kind_of_trouble_are_refused() -> None:
    with pytest.raises(ValueError, match="every kind of trouble needs"):
        make_plan(1, tasks=20, kills=15, workers=2)


@pytest.mark.parametrize(
    ("marker", "fatal"),
    [
        ("", False),
        ("[[sim:429-once]]", False),
        ("[[sim:no-usage]]", False),
        (f"[[sim:model-gone={FIRST_MODEL}]]", False),
        ("[[sim:model-gone]]", True),
        ("[[sim:moderation]]", True),
        ("[[sim:hang]]", True),
        ("[[sim:slow-drip=60]]", True),
    ],
)
def test_whether_a_fault_rules_success_out(marker: str, fatal: bool) -> None:
    assert is_fatal(marker) is fatal
