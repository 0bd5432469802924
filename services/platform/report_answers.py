"""[pure] What the functions that only read answer to an operator, one form for each; what they do not know is ignored.

Times are moments with a zone; amounts of money are decimals, never binary floating point.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from pydantic import TypeAdapter

from models.generation import Channel, SessionStatus
from services.platform.answers import parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorSeen:
    """An executor as the database knows it. ``alive``: nobody declared it dead, and its lease lasts; ``lease_seconds``
    are left of that, negative when it ran out; ``claims`` is how many sessions it holds."""

    executor: UUID
    host: str
    alive: bool
    started_at: datetime
    lease_seconds: float
    claims: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What goes on, and what workers settled since the time that was asked for.

    Attributes:
        executors: the live ones, and the dead that still hold sessions.
        queued, processing: open sessions.
        failed: how many by reason.
        whole_p50_seconds, whole_p95_seconds: from the session's row to its completion (NFR-1.1).
        processing_p50_seconds, processing_p95_seconds: of the run that completed it.
    """

    now: datetime
    executors: list[ExecutorSeen]
    queued: int
    processing: int
    oldest_open_at: datetime | None
    completed: int
    failed: Mapping[str, int]
    whole_p50_seconds: float | None
    whole_p95_seconds: float | None
    processing_p50_seconds: float | None
    processing_p95_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSeen:
    """A session's row. ``given_back``: its charge was undone, by us or by the platform, as far as the ledger tells.
    ``has_picture``: there is a link, and the platform has not written that it expired."""

    channel: Channel
    owner_id: UUID
    request_id: str | None
    status: SessionStatus
    created_at: datetime
    completed_at: datetime | None
    processing_time_ms: int | None
    input_tokens: int | None
    output_tokens: int | None
    estimated_cost_usd: Decimal | None
    credits_used: int | None
    error_message: str | None
    has_picture: bool
    given_back: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimSeen:
    """The worker's own record of a session. ``executor`` is ``None`` when nobody holds it; ``alive`` is said of it."""

    channel: Channel
    executor: UUID | None
    host: str | None
    alive: bool
    attempt: int
    rate_limited: int
    claimed_at: datetime | None
    outcome: str | None
    settled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundSeen:
    """The worker's own record of a refund. ``by_platform``: the platform had given the credits back before."""

    channel: Channel
    kind: str
    credits: int
    by_platform: bool
    reason: str
    refunded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerLine:
    """A line of the platform's ledger. ``is_shopper``: a shopper's balance moved, not the store's."""

    channel: Channel
    type: str
    amount: int
    is_shopper: bool
    written_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything the database knows about one session. Claims and refunds may outlive its row."""

    now: datetime
    sessions: list[SessionSeen] = field(default_factory=list)
    claims: list[ClaimSeen] = field(default_factory=list)
    refunds: list[RefundSeen] = field(default_factory=list)
    ledger: list[LedgerLine] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCost:
    """Completed sessions of one channel on one day of UTC; ``unpriced`` of them have no estimate."""

    day: date
    channel: Channel
    pictures: int
    unpriced: int
    input_tokens: int
    output_tokens: int
    estimated_cost_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFault:
    """A session or account whose credits do not add up; ``rule`` and ``proof`` are explained beside the function."""

    rule: str
    channel: Channel
    owner_id: UUID
    shopper_email: str | None
    session_id: UUID | None
    proof: str
    fault: str


_ACTIVITY: Final = TypeAdapter(Activity)
_STORY: Final = TypeAdapter(Story)
_COSTS: Final = TypeAdapter(list[DayCost])
_FAULTS: Final = TypeAdapter(list[LedgerFault])


def activity(operation: str, answer: Any) -> Activity:
    """Of ``wearon_worker_activity``."""
    return parsed(_ACTIVITY, operation, answer)


def story(operation: str, answer: Any) -> Story:
    """Of ``wearon_worker_story``."""
    return parsed(_STORY, operation, answer)


def costs(operation: str, answer: Any) -> list[DayCost]:
    """Of ``wearon_worker_costs``."""
    return parsed(_COSTS, operation, answer)


def ledger_faults(operation: str, answer: Any) -> list[LedgerFault]:
    """Of ``wearon_worker_audit``."""
    return parsed(_FAULTS, operation, answer)
