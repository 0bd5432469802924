"""[pure] The answers of the worker's functions and of Storage, one form for each; what they do not know is ignored.

An answer of another form did not come from the function: a gateway said 200 and something of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeVar
from uuid import UUID

from pydantic import BeforeValidator, Strict, TypeAdapter, ValidationError

from models.failures import PlatformUnavailable
from models.generation import Channel, SessionRef
from services.platform.errors import NOT_THE_ANSWER

Form = TypeVar("Form")

ClaimOutcome = Literal["claimed", "exhausted", "refunded", "executor_dead", "missing", "settled", "owned", "not_now"]
ReleaseOutcome = Literal["released", "lost", "settled", "missing"]
CompleteOutcome = Literal["completed", "lost", "refunded", "settled", "missing", "not_now"]
FailOutcome = Literal["failed", "lost", "owned", "settled", "missing", "not_now"]
"""What the functions may answer; each is explained beside its function. Any other word is not the function's."""


@dataclass(frozen=True, slots=True)
class ClaimAnswer:
    """What the database said to a claim; the outcomes are explained beside ``wearon_worker_claim_v2``."""

    outcome: ClaimOutcome
    owner_id: UUID | None = None
    attempt: int = 0
    rate_limited: int = 0
    status: str | None = None
    retry_after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class CompleteAnswer:
    """What the database said to a result; the outcomes are explained beside ``wearon_worker_complete_v2``."""

    outcome: CompleteOutcome
    retry_after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class FailAnswer:
    """What the database said to a failure: ``outcome``, what was given back, and the row's request id if it has one."""

    outcome: FailOutcome
    refund_kind: str = "none"
    refunded_credits: int = 0
    request_id: str | None = None
    retry_after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class UnownedSession:
    """An open session that no live executor holds."""

    session: SessionRef
    created_at: datetime


@dataclass(frozen=True, slots=True)
class _Alive:
    alive: Annotated[bool, Strict()]


@dataclass(frozen=True, slots=True)
class _Released:
    outcome: ReleaseOutcome


@dataclass(frozen=True, slots=True)
class _Refund:
    kind: str = "none"
    credits: int = 0


@dataclass(frozen=True, slots=True)
class _Failed:
    outcome: FailOutcome
    request_id: str | None = None
    refund: _Refund | None = field(default=None)
    retry_after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Forgotten:
    claims: int
    executors: int


@dataclass(frozen=True, slots=True)
class _Dead:
    dead: list[UUID]


@dataclass(frozen=True, slots=True)
class _UnownedRow:
    channel: Channel
    session_id: UUID
    created_at: Annotated[datetime, BeforeValidator(datetime.fromisoformat)]


@dataclass(frozen=True, slots=True)
class _Bucket:
    name: str
    file_size_limit: int | None = None


_VERSION: Final = TypeAdapter(Annotated[int, Strict()])
_ALIVE: Final = TypeAdapter(_Alive)
_CLAIM: Final = TypeAdapter(ClaimAnswer)
_RELEASED: Final = TypeAdapter(_Released)
_COMPLETED: Final = TypeAdapter(CompleteAnswer)
_FAILED: Final = TypeAdapter(_Failed)
_FORGOTTEN: Final = TypeAdapter(_Forgotten)
_DEAD: Final = TypeAdapter(_Dead)
_UNOWNED: Final = TypeAdapter(list[_UnownedRow])
_BUCKET: Final = TypeAdapter(_Bucket)


def version(operation: str, answer: Any) -> int:
    """Of ``wearon_worker_schema_version``."""
    return parsed(_VERSION, operation, answer)


def alive(operation: str, answer: Any) -> bool:
    """Of ``wearon_worker_heartbeat``: ``False`` when the executor was declared dead."""
    return parsed(_ALIVE, operation, answer).alive


def claim(operation: str, answer: Any) -> ClaimAnswer:
    """Of ``wearon_worker_claim_v2``."""
    return parsed(_CLAIM, operation, answer)


def release(operation: str, answer: Any) -> ReleaseOutcome:
    """Of ``wearon_worker_release``."""
    return parsed(_RELEASED, operation, answer).outcome


def completion(operation: str, answer: Any) -> CompleteAnswer:
    """Of ``wearon_worker_complete_v2``."""
    return parsed(_COMPLETED, operation, answer)


def failure(operation: str, answer: Any) -> FailAnswer:
    """Of ``wearon_worker_fail_v2``."""
    failed = parsed(_FAILED, operation, answer)
    refund = failed.refund or _Refund()
    return FailAnswer(failed.outcome, refund.kind, refund.credits, failed.request_id, failed.retry_after_seconds)


def forgotten(operation: str, answer: Any) -> int:
    """Of ``wearon_worker_forget``: how many rows of the more numerous kind were deleted."""
    deleted = parsed(_FORGOTTEN, operation, answer)
    return max(deleted.claims, deleted.executors)


def dead(operation: str, answer: Any) -> list[UUID]:
    """Of ``wearon_worker_recover``: which of the holders asked about are dead."""
    return parsed(_DEAD, operation, answer).dead


def unowned(operation: str, answer: Any) -> list[UnownedSession]:
    """Of ``wearon_worker_unowned_sessions``."""
    rows = parsed(_UNOWNED, operation, answer)
    return [UnownedSession(SessionRef(row.channel, row.session_id), row.created_at) for row in rows]


def size_limit_bytes(operation: str, answer: Any) -> int | None:
    """Of Storage about a bucket: the largest file it takes; ``None`` when it has no limit of its own."""
    return parsed(_BUCKET, operation, answer).file_size_limit


def parsed(form: TypeAdapter[Form], operation: str, answer: Any) -> Form:
    """The answer in its form.

    Raises:
        PlatformUnavailable: it is another's.
    """
    try:
        return form.validate_python(answer)
    except (ValidationError, TypeError):
        raise PlatformUnavailable(operation, NOT_THE_ANSWER, shape_of(answer)) from None


def shape_of(answer: Any) -> str:
    """What can be told of an answer that nobody knows, without repeating what is in it."""
    if isinstance(answer, Mapping):
        return "an object with " + (", ".join(sorted(map(str, answer))[:5]) or "nothing in it")
    return f"a {type(answer).__name__}"
