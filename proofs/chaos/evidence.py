"""[pure] What is known after a run: everything the audit judges by, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from models.generation import SessionRef, SessionStatus


class Payer(StrEnum):
    """Who paid for a session, and so who gets it back (platform contract)."""

    USER = "user"
    STORE = "store"
    SHOPPER = "shopper"
    OVERAGE = "overage"
    """Nobody's balance: the charge is billed outside and only recorded."""
    UNPROVEN = "overage without a line"
    """The same, and the platform lost the record."""


class GivenBack(StrEnum):
    """What the platform itself did with a session's charge."""

    ONCE = "once"
    LOST = "not at all"
    """Its refund did not work, and it failed the row all the same."""


@dataclass(frozen=True, slots=True)
class WorkerRefund:
    """One row of ``wearon_worker.refunds``. ``by_platform``: given back already, so the worker only marked."""

    kind: str
    credits: int
    reason: str
    by_platform: bool = False


@dataclass(frozen=True, slots=True)
class SessionEvidence:
    """One session.

    ``by_platform`` is what the platform did when it gave the session up, ``None`` when it did not. ``result_fault``
    says what is wrong with the stored picture of a completed session. ``can_complete`` is false where the scenario made
    success impossible, ``was_pushed`` where no readable task ever reached the queue.
    """

    number: int
    session: SessionRef
    payer: Payer
    account: UUID
    credits: int
    status: SessionStatus
    error_message: str | None
    by_platform: GivenBack | None
    can_complete: bool
    was_pushed: bool
    worker_refunds: tuple[WorkerRefund, ...]
    result_fault: str | None
    provider_calls: int

    @property
    def is_given_back(self) -> bool:
        """Whether the charge was undone, by whomever."""
        return any(not refund.by_platform for refund in self.worker_refunds) or self.by_platform is GivenBack.ONCE

    def __str__(self) -> str:
        return f"{self.session.channel} session {self.session.session_id} (task {self.number}, paid by {self.payer})"


@dataclass(frozen=True, slots=True)
class BookFault:
    """One row of ``wearon_worker_audit``; without a session it is about the account."""

    rule: str
    channel: str
    account: UUID
    session_id: UUID | None
    fault: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything about one run.

    ``book_faults`` is what the operator's audit says, ``wrong_balances`` what only a sandbox can know.
    ``violations_seen`` were observed during the run and need no audit.
    """

    sessions: Sequence[SessionEvidence]
    book_faults: Sequence[BookFault]
    wrong_balances: Sequence[str]
    left_in_redis: int
    provider_requests: int
    peak_requests_per_minute: int
    violations_seen: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What the provider may be asked: in all for one session, and by all workers together in any 60 s (NFR-1.4)."""

    calls_per_session: int
    requests_per_minute: int
