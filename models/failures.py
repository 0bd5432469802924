"""Every way a generation can go wrong, as one tree.

Failure
├── InputFailure                 what the shopper's pictures did
│   ├── ImageUnreachable         no answer, an error status, a redirect, too slow
│   ├── ImageAddressRefused      the address may not be fetched (NFR-3.1)
│   ├── ImageTooLarge            more bytes or pixels than allowed (NFR-3.2)
│   ├── ImageWithoutType         a picture, but its content type is not image/*
│   ├── IncompletePicture        the file ends before the picture does
│   └── NotAnImage               wrong content type, broken or unsupported picture
├── ProviderFailure              what the image provider answered
│   ├── RateLimited              429 that passes by itself (FR-3.1)
│   ├── Moderated                the provider refuses this content (FR-3.2)
│   ├── ProviderUnavailable      5xx, 408, 409, no connection, no answer in time, after the client's retries (FR-3.3)
│   ├── ProviderRejectedRequest  any other 4xx: our request is wrong
│   ├── ProviderAnswerUnusable   200, but no picture in it
│   └── AccountBlocked           nothing will work until a person acts
│       ├── QuotaExhausted       credit, quota or spend limit used up
│       ├── CredentialsRejected  401, or a 403 that is not about one model
│       └── NoModelLeft          every configured model is gone or refused to this account
├── PlatformFailure              what Supabase, or something in its place, answered
│   ├── PlatformUnavailable      away for now; the same call is tried again
│   │   └── PlatformLocked       the same, but a person must act: key, plan, address, certificate
│   ├── PlatformRefused          the database says no to this one session
│   └── StorageRefused           Storage takes no picture like this until a person acts
├── DeadlineExceeded             the task's own time limit (NFR-5.2)
├── OwnerMismatch                the task names another owner than the session row
├── AttemptsExhausted            the worker died on this task as often as is allowed
├── GivenBack                    the platform gave the charge back while the session was open
├── NoLongerWanted               while the task waited, its session went to others or came near the platform's job
├── TaskLost                     no task is left anywhere that could finish the session
├── BadTask                      the queue element is no task we can run
└── UnexpectedFailure            a bug of ours

Errors carry what happened as attributes; what a person is told is decided in ``worker/settlement/policy.py``
from the type alone, so no technical text ever reaches a session row.
"""

from typing import ClassVar


class Failure(Exception):
    """Base of the tree. ``kind`` is the stable name used in logs and metrics."""

    kind: ClassVar[str] = "failure"


class InputFailure(Failure):
    """One of the task's input pictures cannot be used."""

    kind = "input"


class ImageUnreachable(InputFailure):
    """The picture could not be downloaded."""

    kind = "image_unreachable"

    def __init__(self, reason: str, *, status: int | None = None) -> None:
        super().__init__(reason if status is None else f"{reason} (HTTP {status})")
        self.reason = reason
        self.status = status


class ImageAddressRefused(InputFailure):
    """The picture's address may not be fetched (NFR-3.1): scheme, port, credentials or a non-public address."""

    kind = "image_address_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ImageTooLarge(InputFailure):
    """The picture has more of ``unit`` ("bytes" or "pixels") than ``limit``."""

    kind = "image_too_large"

    def __init__(self, *, limit: int, unit: str) -> None:
        super().__init__(f"more than {limit} {unit}")
        self.limit = limit
        self.unit = unit


class ImageWithoutType(InputFailure):
    """The bytes begin like a picture, but the content type they were stored with is not ``image/*`` (Pattern 5)."""

    kind = "image_without_type"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class IncompletePicture(InputFailure):
    """The file ends too early: a part of what the picture shows is lost."""

    kind = "incomplete_picture"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotAnImage(InputFailure):
    """The bytes are no picture in a supported format."""

    kind = "not_an_image"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ProviderFailure(Failure):
    """The image provider did not give a picture.

    ``status`` is the HTTP status (``None`` without an answer), ``code`` the provider's error code and
    ``provider_request_id`` its ``x-request-id``, for a support question.
    """

    kind = "provider"

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        code: str | None = None,
        provider_request_id: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.code = code
        self.provider_request_id = provider_request_id


class RateLimited(ProviderFailure):
    """HTTP 429 that passes by itself (FR-3.1); ``retry_after_seconds`` is the wait it named, if any."""

    kind = "rate_limited"

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        code: str | None = None,
        provider_request_id: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(reason, status=status, code=code, provider_request_id=provider_request_id)
        self.retry_after_seconds = retry_after_seconds


class Moderated(ProviderFailure):
    """The provider's safety system refuses the pictures or the result (FR-3.2)."""

    kind = "moderated"


class ProviderUnavailable(ProviderFailure):
    """5xx, 408, 409, no connection or no answer, after the client's own retries (FR-3.3, docs/adr/0027)."""

    kind = "provider_unavailable"


class ProviderRejectedRequest(ProviderFailure):
    """Any other 4xx."""

    kind = "provider_rejected_request"


class ProviderAnswerUnusable(ProviderFailure):
    """The provider said 200 but sent no usable JPEG."""

    kind = "provider_answer_unusable"


class AccountBlocked(ProviderFailure):
    """No call can succeed until a person acts; new calls pause instead of burning the queue."""

    kind = "account_blocked"


class QuotaExhausted(AccountBlocked):
    """A 429 whose code says quota, credit or spend limit: not a rate limit."""

    kind = "quota_exhausted"


class CredentialsRejected(AccountBlocked):
    """HTTP 401, or 403 that is not about one model."""

    kind = "credentials_rejected"


class NoModelLeft(AccountBlocked):
    """Every model in ``OPENAI_IMAGE_MODELS`` is gone, or refused to this account."""

    kind = "no_model_left"


class PlatformFailure(Failure):
    """Supabase did not do what was asked.

    ``operation`` names the call, ``reason`` is the code or the kind of error, ``detail`` what the other side said,
    shortened and without secrets (models/others_words.py).
    """

    kind = "platform"

    def __init__(self, operation: str, reason: str, detail: str = "") -> None:
        super().__init__(f"{operation}: {reason}" + (f" ({detail})" if detail else ""))
        self.operation = operation
        self.reason = reason
        self.detail = detail


class PlatformUnavailable(PlatformFailure):
    """Supabase is away or overloaded, or something else answered in its place; the same call is tried again."""

    kind = "platform_unavailable"


class PlatformLocked(PlatformUnavailable):
    """Supabase lets nobody with our settings in until a person acts. True of every session, so it is waited out."""

    kind = "platform_locked"


class PlatformRefused(PlatformFailure):
    """The database says no to this one session (a constraint, a bad value, a function's own objection)."""

    kind = "platform_refused"


class StorageRefused(PlatformFailure):
    """Storage itself refuses the picture, and would refuse others: no such bucket, wrong type, too large."""

    kind = "storage_refused"


class DeadlineExceeded(Failure):
    """The task used up its own time limit (NFR-5.2), waiting for its turn not counted."""

    kind = "deadline_exceeded"

    def __init__(self, limit_seconds: float) -> None:
        super().__init__(f"not finished within {limit_seconds:g} s")
        self.limit_seconds = limit_seconds


class OwnerMismatch(Failure):
    """The task names another store or user than the session row (FR-6.3)."""

    kind = "owner_mismatch"


class AttemptsExhausted(Failure):
    """The worker died on this task as often as is allowed."""

    kind = "attempts_exhausted"


class GivenBack(Failure):
    """The session is open, but its charge was given back already, so nothing may be made for it."""

    kind = "given_back"


class NoLongerWanted(Failure):
    """While the task waited, its session was settled by somebody else or came near the platform's job: make nothing."""

    kind = "no_longer_wanted"


class TaskLost(Failure):
    """The session is open but no task is left anywhere that could finish it (FR-2.4)."""

    kind = "task_lost"


class BadTask(Failure):
    """The queue element is no task we can run."""

    kind = "bad_task"


class UnexpectedFailure(Failure):
    """Something we did not foresee: a bug."""

    kind = "unexpected"


def kinds_below(root: type[Failure]) -> tuple[str, ...]:
    """Every kind of this tree under ``root``, in order: a closed set, for whoever counts by kind."""
    found = {kind for below in root.__subclasses__() for kind in (below.kind, *kinds_below(below))}
    return tuple(sorted(found))
