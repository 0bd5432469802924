"""[pure] Decides what follows from a failure: retry or fail, and the message for the person (Pattern 2, FR-2, FR-3).

| failure                        | decision                                                          |
|--------------------------------|-------------------------------------------------------------------|
| rate limit, first time         | back to the queue, one Celery retry after 10 s, or as long as the |
|                                | provider names up to 60 s; no refund (FR-3.1)                     |
| rate limit again               | fail, refund                                                      |
| moderation                     | fail at once, friendly message, refund (FR-3.2)                   |
| 5xx, 408, 409, no connection   | retried inside the provider client (FR-3.3); then fail, refund    |
| anything else                  | fail at once, refund (FR-3.5)                                     |
"""

from dataclasses import dataclass
from typing import Final

from models import failures
from models.failures import Failure

RATE_LIMIT_RETRY_SECONDS: Final = 10.0
MAX_RATE_LIMIT_RETRIES: Final = 1
"""FR-3.1."""

MAX_RATE_LIMIT_WAIT_SECONDS: Final = 60.0
"""The provider's limits are per minute: a longer wait is no rate limit that a person waits for, and the platform ends
sessions after ten minutes (docs/adr/0027)."""

ATTEMPT_LIMIT: Final = 2
"""Runs of a session in all: after its worker died, it is run once more. This stops a picture that kills the worker."""

NOT_CHARGED: Final = "You have not been charged."

MESSAGES: Final[dict[type[Failure], str]] = {
    failures.Moderated: (
        "We could not make this picture because the photo or the outfit was declined by our content check. "
        "Please try different pictures."
    ),
    failures.ImageUnreachable: "We could not load one of your pictures. Please upload it again.",
    failures.ImageAddressRefused: "We could not load one of your pictures. Please upload it again.",
    failures.ImageTooLarge: "One of your pictures is too large. Please use a JPEG of up to 10 MB and 64 megapixels.",
    failures.ImageWithoutType: "One of your pictures was stored without its type. Please upload it again.",
    failures.IncompletePicture: "The picture is incomplete. Please upload it again.",
    failures.NotAnImage: (
        "One of your pictures could not be read. Please use a JPEG, PNG, WebP, AVIF, HEIC or GIF picture."
    ),
    failures.RateLimited: "We are very busy right now. Please try again in a minute.",
    failures.AccountBlocked: "Try-on is not available right now. Please try again later.",
    failures.StorageRefused: "Try-on is not available right now. Please try again later.",
    failures.ProviderUnavailable: "The picture service is not available right now. Please try again in a few minutes.",
    failures.DeadlineExceeded: "Making your picture took too long. Please try again.",
}
DEFAULT_MESSAGE: Final = "Something went wrong while making your picture. Please try again."


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Hand the session back to the queue and run it again after ``delay_seconds``; nothing is refunded yet."""

    delay_seconds: float


@dataclass(frozen=True, slots=True)
class Fail:
    """Mark the session failed with ``message`` and undo the charge; ``reason`` goes to log and metric."""

    message: str
    reason: str


def decide(failure: Failure, *, rate_limited_before: int) -> RetryLater | Fail:
    """Decide what a failure means.

    Args:
        failure: what went wrong.
        rate_limited_before: how often the provider's rate limit sent this session back already.
    """
    if isinstance(failure, failures.RateLimited) and rate_limited_before < MAX_RATE_LIMIT_RETRIES:
        return RetryLater(rate_limit_wait_seconds(failure.retry_after_seconds))
    return Fail(message_for(failure), failure.kind)


def rate_limit_wait_seconds(named_seconds: float | None) -> float:
    """Seconds until the retry: what the provider named, within FR-3.1's 10 s and ``MAX_RATE_LIMIT_WAIT_SECONDS``."""
    return min(max(RATE_LIMIT_RETRY_SECONDS, named_seconds or 0.0), MAX_RATE_LIMIT_WAIT_SECONDS)


def message_for(failure: Failure) -> str:
    """What the person reads: plain language, chosen by the kind of failure alone."""
    message = next((MESSAGES[kind] for kind in type(failure).__mro__ if kind in MESSAGES), DEFAULT_MESSAGE)
    return f"{message} {NOT_CHARGED}"
