"""The audit of ``make chaos``: right books pass, and every way they can be wrong is named."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import pytest

from models.generation import Channel, SessionRef, SessionStatus
from proofs.chaos.api_edge import EdgeFault
from proofs.chaos.audit import REFUND_KINDS, RULES_OF_THE_BOOKS, Rule, Violation, audit
from proofs.chaos.evidence import BookFault, Evidence, GivenBack, Limits, Payer, SessionEvidence, WorkerRefund
from proofs.chaos.plan import FIRST_MODEL, WHOLE_KILLS, Delivery, Ending, Outage, WorkerFault, is_fatal, make_plan
from proofs.chaos.report import last_line, write_report
from sandbox.openai_sim.faults import FAULTS, parse_markers
from sandbox.pictures.image_host import FAULT_NAMES
from sandbox.platform.producer import StoreMode

LIMITS: Final = Limits(calls_per_session=18, requests_per_minute=150)
CREDITS: Final = 2
FAILED, COMPLETED = SessionStatus.FAILED, SessionStatus.COMPLETED


def session(payer: Payer, status: SessionStatus = FAILED, by_platform: GivenBack | None = None) -> SessionEvidence:
    """A session that ended as it should."""
    amount = 1 if payer in (Payer.OVERAGE, Payer.UNPROVEN) else CREDITS
    failed_by_worker = status is FAILED and by_platform is None
    return SessionEvidence(
        number=7,
        session=SessionRef(Channel.B2C if payer is Payer.USER else Channel.B2B, uuid4()),
        payer=payer,
        account=uuid4(),
        credits=amount,
        status=status,
        error_message="Something went wrong. You have not been charged." if status is FAILED else None,
        by_platform=by_platform,
        can_complete=True,
        was_pushed=True,
        worker_refunds=(WorkerRefund(REFUND_KINDS[payer], amount, "moderated"),) if failed_by_worker else (),
        result_fault=None,
        provider_calls=1,
    )


def evidence(*sessions: SessionEvidence, **changed: Any) -> Evidence:
    """A run of these sessions, with right books."""
    run = Evidence(
        sessions,
        book_faults=[],
        wrong_balances=[],
        left_in_redis=0,
        provider_requests=1,
        peak_requests_per_minute=LIMITS.requests_per_minute,
    )
    return replace(run, **changed)


def broken_rules(run: Evidence) -> set[Rule]:
    """The rules that the audit of a run finds broken."""
    return {violation.rule for violation in audit(run, LIMITS).violations}


@pytest.mark.parametrize("payer", Payer)
@pytest.mark.parametrize(("status", "by_platform"), [(FAILED, None), (FAILED, GivenBack.ONCE), (COMPLETED, None)])
def test_a_right_session_passes_for_every_payer(
    payer: Payer, status: SessionStatus, by_platform: GivenBack | None
) -> None:
    assert not broken_rules(evidence(session(payer, status, by_platform)))


def test_what_the_platform_gave_back_and_the_worker_only_marked_passes() -> None:
    marked = replace(session(Payer.USER), by_platform=GivenBack.ONCE)
    [refund] = marked.worker_refunds
    recovered = replace(refund, by_platform=True, reason="task_lost")
    assert not broken_rules(evidence(replace(marked, worker_refunds=(recovered,))))


def refund(payer: Payer, **changed: Any) -> WorkerRefund:
    """The worker's record of a right refund, with something changed."""
    return replace(WorkerRefund(REFUND_KINDS[payer], CREDITS, "moderated"), **changed)


WRONG_SESSIONS: Final[dict[str, tuple[Payer, SessionStatus, dict[str, Any], set[Rule]]]] = {
    "still queued": (Payer.STORE, COMPLETED, {"status": SessionStatus.QUEUED}, {Rule.LOST}),
    "still at work": (Payer.USER, COMPLETED, {"status": SessionStatus.PROCESSING}, {Rule.LOST}),
    "failed without a refund on record": (Payer.USER, FAILED, {"worker_refunds": ()}, {Rule.LOST}),
    "an overage that was not recorded": (Payer.OVERAGE, FAILED, {"worker_refunds": ()}, {Rule.LOST}),
    "a pushed task that disappeared": (
        Payer.USER,
        FAILED,
        {"worker_refunds": (refund(Payer.USER, reason="task_lost"),)},
        {Rule.LOST},
    ),
    "refunded to another kind of payer": (
        Payer.SHOPPER,
        FAILED,
        {"worker_refunds": (refund(Payer.STORE),)},
        {Rule.WRONG_BALANCE},
    ),
    "an overage without a line that a balance paid for": (
        Payer.UNPROVEN,
        FAILED,
        {"worker_refunds": (refund(Payer.STORE, credits=1),)},
        {Rule.WRONG_BALANCE},
    ),
    "refunded in part on record": (
        Payer.USER,
        FAILED,
        {"worker_refunds": (refund(Payer.USER, credits=1),)},
        {Rule.WRONG_BALANCE},
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
    wrong = replace(session(payer, status), **changed)

    violations = audit(evidence(wrong), LIMITS).violations

    assert {violation.rule for violation in violations} == rules
    assert {violation.subject for violation in violations} == {str(wrong)}
    assert all(violation.session_ids == (wrong.session.session_id,) for violation in violations)


def of_account(session: SessionEvidence, rule: str) -> BookFault:
    """The operator's audit names the account of a session."""
    return BookFault(rule, session.session.channel.value, session.account, None, "deducted 2, given back 1")


class TestTheOperatorsAudit:
    @pytest.mark.parametrize("rule", RULES_OF_THE_BOOKS)
    def test_names_a_session_and_so_do_we(self, rule: str) -> None:
        wrong, fine = session(Payer.STORE), session(Payer.STORE)
        fault = BookFault(rule, "b2b", wrong.account, wrong.session.session_id, "completed, and 1 given back")
        [violation] = audit(evidence(wrong, fine, book_faults=[fault]), LIMITS).violations
        assert violation == Violation(RULES_OF_THE_BOOKS[rule], str(wrong), fault.fault, (wrong.session.session_id,))

    def test_names_an_account_and_we_name_all_its_sessions(self) -> None:
        first = session(Payer.USER)
        second = replace(session(Payer.USER, COMPLETED), account=first.account)
        faults = [of_account(first, "given_back_twice")]
        [violation] = audit(evidence(first, second, session(Payer.USER), book_faults=faults), LIMITS).violations
        assert violation.rule is Rule.DOUBLE_REFUND
        assert violation.subject == f"b2c account {first.account}"
        assert violation.session_ids == (first.session.session_id, second.session.session_id)

    def test_must_name_the_account_whose_credit_the_platform_lost_and_that_is_no_fault_of_ours(self) -> None:
        lost = session(Payer.USER, by_platform=GivenBack.LOST)
        verdict = audit(evidence(lost, book_faults=[of_account(lost, "lost")]), LIMITS)
        assert verdict.violations == ()
        assert (verdict.figures.failed, verdict.figures.refunded, verdict.figures.lost_by_platform) == (1, 0, 1)
        assert broken_rules(evidence(lost)) == {Rule.OTHER}
        assert broken_rules(evidence(lost, book_faults=[of_account(lost, "given_back_twice")])) == {
            Rule.DOUBLE_REFUND,
            Rule.OTHER,
        }


def test_a_balance_that_moved_without_its_ledger_counts() -> None:
    assert broken_rules(evidence(session(Payer.USER), wrong_balances=["balance of user 7"])) == {Rule.WRONG_BALANCE}


@pytest.mark.parametrize(
    "changed",
    [{"left_in_redis": 1}, {"peak_requests_per_minute": 151}, {"violations_seen": ["a Celery process was left"]}],
)
def test_what_concerns_no_session_counts_as_well(changed: dict[str, Any]) -> None:
    assert broken_rules(evidence(session(Payer.USER), **changed)) == {Rule.OTHER}


def test_a_subject_with_several_faults_of_one_kind_counts_once() -> None:
    wrong = replace(session(Payer.STORE), worker_refunds=())
    fault = BookFault("lost", "b2b", wrong.account, wrong.session.session_id, "failed, 1 deducted, nothing given back")
    verdict = audit(evidence(wrong, book_faults=[fault]), LIMITS)

    assert len(verdict.violations) > 1
    assert verdict.count(Rule.LOST) == 1


def test_the_last_line_has_the_figures_in_their_order() -> None:
    right = session(Payer.USER)
    line = last_line(audit(evidence(right), LIMITS), kills=15, redis_restarts=3, seed=42)

    assert line == (
        "sessions=1 completed=0 failed=1 refunded=1 lost_by_platform=0 lost=0 double_refunds=0 "
        "refunds_of_completed=0 wrong_balance=0 other_violations=0 provider_calls=1 kills=15 redis_restarts=3 seed=42"
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
    faults = [planned.fault for of_worker in plan.worker_faults for planned in of_worker]

    assert len(plan.tasks) == 200
    assert markers == set(FAULTS) - {"latency"}
    assert {task.picture for task in plan.tasks} >= set(FAULT_NAMES) - {"no-length"}
    assert {task.delivery for task in plan.tasks} == set(Delivery)
    assert {task.mode for task in plan.tasks} == {None, *StoreMode}
    assert {task.credits for task in plan.tasks} == {1, 2, 3}
    assert {task.credits for task in plan.tasks if task.mode is StoreMode.OVERAGE} == {1}
    assert {task.ending for task in plan.tasks} == {None, *Ending}
    assert {(task.mode, task.credits) for task in plan.tasks if task.ending} == {(None, 1)}
    lost = [task.account for task in plan.tasks if task.ending is Ending.WITHOUT_REFUND]
    assert len({*lost} - {task.account for task in plan.tasks if task.account not in lost}) == len(lost) > 1
    assert {task.mode for task in plan.tasks if task.delivery is Delivery.TAKEN_FOR_FAILED} == {None, *StoreMode}
    assert {task.mode for task in plan.tasks if task.overage_line_is_lost} == {StoreMode.OVERAGE}
    assert sum(fault in WHOLE_KILLS for fault in faults) == 15
    assert set(faults) == set(WorkerFault)
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
