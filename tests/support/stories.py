"""What a database tells of a session, one field changed at a time."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from models.generation import Channel, SessionStatus
from operations.search import Places
from services.platform.report_answers import ClaimSeen, RefundSeen, SessionSeen
from tests.support.payloads import SESSION_ID, USER_ID, b2c, encode
from worker.dead_letters import DeadLetter

NOON: Final = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SESSION: Final = UUID(SESSION_ID)
EXECUTOR: Final = UUID("3fa9b07c-11d2-4f5e-8b1d-3c6a5e9f2b02")


def row(**changed: Any) -> SessionSeen:
    """A session's row; a b2c one that waits."""
    fields: dict[str, Any] = {
        "channel": Channel.B2C,
        "owner_id": UUID(USER_ID),
        "request_id": None,
        "status": SessionStatus.QUEUED,
        "created_at": NOON - timedelta(minutes=3),
        "completed_at": None,
        "processing_time_ms": None,
        "input_tokens": None,
        "output_tokens": None,
        "estimated_cost_usd": None,
        "credits_used": 1,
        "error_message": None,
        "has_picture": False,
        "given_back": False,
    }
    return SessionSeen(**{**fields, **changed})


def claim(**changed: Any) -> ClaimSeen:
    """A claim that nobody holds."""
    fields: dict[str, Any] = {
        "channel": Channel.B2C,
        "executor": None,
        "host": None,
        "alive": False,
        "attempt": 1,
        "rate_limited": 0,
        "claimed_at": NOON - timedelta(minutes=2),
        "outcome": None,
        "settled_at": None,
    }
    return ClaimSeen(**{**fields, **changed})


REFUND: Final = RefundSeen(
    channel=Channel.B2C, kind="user_credit", credits=1, by_platform=False, reason="moderated", refunded_at=NOON
)
LETTER: Final = DeadLetter.about(
    encode(b2c()), reason="bad_task", detail="why", buried_at=NOON, session_ids=(SESSION,), request_id=None
)
NOWHERE: Final = Places(is_waiting=False, in_flight=(), letters=(), is_complete=True)
