"""[pure] Was every credit right? From the evidence to figures and named violations.

NFR-2.4 itself is judged by the operator's own audit, ``wearon_worker_audit``; here its rows are named after the tasks
of the scenario, and what only the scenario knows is added: who must have paid, what can succeed, what may be left.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from models.generation import SessionStatus
from proofs.chaos.evidence import BookFault, Evidence, GivenBack, Limits, Payer, SessionEvidence

REFUND_KINDS: Final = {
    Payer.USER: "user_credit",
    Payer.STORE: "store_credit",
    Payer.SHOPPER: "shopper_credit",
    Payer.OVERAGE: "store_overage",
    Payer.UNPROVEN: "unproven_charge",
}
"""How the worker's record must name the undoing of each kind of charge."""

TASK_LOST: Final = "task_lost"
"""The worker's reason for giving up a session that no task is left for."""

TERMINAL: Final = frozenset({SessionStatus.COMPLETED, SessionStatus.FAILED})


class Rule(StrEnum):
    """The kinds of violation; each is counted on the last line of a run."""

    LOST = "lost"
    """Neither finished nor given back."""
    DOUBLE_REFUND = "double_refunds"
    REFUND_OF_COMPLETED = "refunds_of_completed"
    WRONG_BALANCE = "wrong_balance"
    OTHER = "other_violations"


RULES_OF_THE_BOOKS: Final = {
    "lost": Rule.LOST,
    "not_on_record": Rule.LOST,
    "given_back_twice": Rule.DOUBLE_REFUND,
    "completed_and_refunded": Rule.REFUND_OF_COMPLETED,
    "wrong_amount": Rule.WRONG_BALANCE,
    "wrong_account": Rule.WRONG_BALANCE,
}
"""By the rule that ``wearon_worker_audit`` names."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise; ``session_ids`` are the sessions to read about in the logs."""

    rule: Rule
    subject: str
    what: str
    session_ids: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts of sessions, and of the provider's requests. ``lost_by_platform``: failed, and its own refund failed."""

    sessions: int
    completed: int
    failed: int
    refunded: int
    lost_by_platform: int
    provider_calls: int


@dataclass(frozen=True, slots=True)
class Audit:
    """The verdict on one run."""

    figures: Figures
    violations: tuple[Violation, ...]

    def count(self, rule: Rule) -> int:
        """How many sessions, accounts or other subjects break the rule."""
        return len({violation.subject for violation in self.violations if violation.rule is rule})


def audit(evidence: Evidence, limits: Limits) -> Audit:
    """Judge a run by its evidence."""
    sessions = evidence.sessions
    return Audit(
        figures=Figures(
            sessions=len(sessions),
            completed=sum(session.status is SessionStatus.COMPLETED for session in sessions),
            failed=sum(session.status is SessionStatus.FAILED for session in sessions),
            refunded=sum(session.is_given_back for session in sessions),
            lost_by_platform=sum(session.by_platform is GivenBack.LOST for session in sessions),
            provider_calls=evidence.provider_requests,
        ),
        violations=tuple(_violations(evidence, limits)),
    )


def _violations(evidence: Evidence, limits: Limits) -> Iterator[Violation]:
    for session in evidence.sessions:
        for rule, what in _faults_of_session(session, limits):
            yield Violation(rule, str(session), what, (session.session.session_id,))
    yield from _faults_of_books(evidence)
    for what in evidence.wrong_balances:
        yield Violation(Rule.WRONG_BALANCE, what, what)
    for what in _faults_of_run(evidence, limits):
        yield Violation(Rule.OTHER, what, what)


def _faults_of_session(session: SessionEvidence, limits: Limits) -> Iterator[tuple[Rule, str]]:
    if session.status not in TERMINAL:
        yield Rule.LOST, f"still {session.status}"
    if session.status is SessionStatus.FAILED and not session.is_given_back and session.by_platform is None:
        yield Rule.LOST, "failed, and nobody gave the charge back"
    for refund in session.worker_refunds:
        if (refund.kind, refund.credits) != (REFUND_KINDS[session.payer], session.credits):
            yield Rule.WRONG_BALANCE, f"charged {session.credits} to the {session.payer}, on record as {refund}"
        if session.was_pushed and refund.reason == TASK_LOST and not refund.by_platform:
            yield Rule.LOST, "its task reached the queue and disappeared"
    if session.status is SessionStatus.COMPLETED:
        yield from ((Rule.OTHER, what) for what in _faults_of_result(session))
    if session.status is SessionStatus.FAILED and not session.error_message:
        yield Rule.OTHER, "failed without a word to the person"
    if session.provider_calls > limits.calls_per_session:
        yield Rule.OTHER, f"{session.provider_calls} provider calls; at most {limits.calls_per_session}"


def _faults_of_books(evidence: Evidence) -> Iterator[Violation]:
    """The audit's rows, but for the credits that the platform lost on purpose; those it must have named."""
    lost_by_platform = {
        session.account: session for session in evidence.sessions if session.by_platform is GivenBack.LOST
    }
    named = {fault.account for fault in evidence.book_faults if fault.session_id is None and fault.rule == "lost"}
    for fault in evidence.book_faults:
        if fault.session_id is None and fault.rule == "lost" and fault.account in lost_by_platform:
            continue
        about = _sessions_of(fault, evidence)
        known = [session for session in about if session.session.session_id == fault.session_id]
        subject = str(known[0]) if known else f"{fault.channel} {fault.session_id or f'account {fault.account}'}"
        ids = tuple(session.session.session_id for session in known or about)
        yield Violation(RULES_OF_THE_BOOKS[fault.rule], subject, fault.fault, ids)
    for session in (session for account, session in lost_by_platform.items() if account not in named):
        what = "the platform lost its credit, and the audit does not name the account"
        yield Violation(Rule.OTHER, str(session), what, (session.session.session_id,))


def _sessions_of(fault: BookFault, evidence: Evidence) -> list[SessionEvidence]:
    return [session for session in evidence.sessions if session.account == fault.account]


def _faults_of_result(session: SessionEvidence) -> Iterator[str]:
    if session.result_fault is not None:
        yield f"completed, but {session.result_fault}"
    if session.error_message is not None:
        yield f"completed, but the person still reads: {session.error_message}"
    if not session.can_complete:
        yield "completed, although the scenario made that impossible"


def _faults_of_run(evidence: Evidence, limits: Limits) -> Iterator[str]:
    if evidence.left_in_redis:
        yield f"{evidence.left_in_redis} elements left in the queue or in flight"
    if evidence.peak_requests_per_minute > limits.requests_per_minute:
        yield f"{evidence.peak_requests_per_minute} provider requests in 60 s; at most {limits.requests_per_minute}"
    yield from evidence.violations_seen
