"""The platform behind Supabase: session state and result storage, through the official client.

Every function name and argument of ``supabase/migrations/`` is spelled here and nowhere else. Calls are
idempotent (see the SQL), so a caller may repeat any of them after :class:`PlatformUnavailable`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final, TypeVar
from uuid import UUID

import httpx
from postgrest.exceptions import APIError
from storage3.exceptions import StorageApiError
from storage3.utils import StorageException
from supabase.lib.client_options import SyncClientOptions

from models.failures import PlatformRefused, PlatformUnavailable
from models.generation import Channel, GeneratedImage, SessionRef
from services.tls import public_client_context
from supabase import Client, create_client

SCHEMA_VERSION: Final = 2
"""What ``wearon_worker_schema_version()`` must answer at least."""

BUCKET: Final = "virtual-tryon-images"
SIGNED_URL_SECONDS: Final = 6 * 60 * 60
"""FR-1.7; the platform deletes the picture after the same time."""

REQUEST_TIMEOUT: Final = httpx.Timeout(20.0, connect=5.0)
"""Seconds. A state change takes milliseconds and an upload of 2 MB a second or two; past this the call is repeated."""

LEASE_TIMEOUT: Final = httpx.Timeout(4.0)
"""Seconds, for what keeps an executor alive: a call on a dead connection must not use up the lease."""

MAX_CONNECTIONS: Final = 32
"""Calls are short: at 300 generations a minute about one is open at a time; more only queue up behind the database."""

KEEPALIVE_SECONDS: Final = 30.0
"""Idle connections are dropped by us before the hosted proxy (a minute or more) does it under a request."""

RETRYABLE_HTTP_STATUSES: Final = frozenset({"408", "425", "429", *map(str, range(500, 600))})
"""Any server error: Supabase's gateway and storage have their own beyond the registered ones (520 to 524, 544)."""
RETRYABLE_SQLSTATES: Final = frozenset({"55P03", "XX000"})
"""A lock was not available within ``lock_timeout``; an internal error, as calls meet while SQL is being applied."""
RETRYABLE_SQLSTATE_CLASSES: Final = frozenset({"08", "40", "53", "57", "58"})
"""Connection, serialisation or deadlock, out of resources, operator intervention, system."""
RETRYABLE_POSTGREST_CODES: Final = frozenset({"PGRST000", "PGRST001", "PGRST002", "PGRST003"})
"""PostgREST cannot reach its database or its pool is exhausted (PostgREST documentation, group 0)."""
CREDENTIALS_REFUSED_CODES: Final = frozenset(
    {"401", "402", "403", "42501", "PGRST300", "PGRST301", "PGRST302", "PGRST303"}
)
"""The key is wrong or lacks the right: true of every session alike, so it is waited out, not blamed on one."""

KEY_REFUSED_BY_GATEWAY: Final = "API key"
"""In "Invalid API key" and "No API key found in request", with which the gateway before PostgREST answers 401; its body
has no code, and the client keeps no status beside a body."""

NOT_THE_ANSWER: Final = "not the function's answer"

Answer = TypeVar("Answer")

UNKNOWN_FUNCTION_CODES: Final = frozenset({"PGRST202", "42883"})


@dataclass(frozen=True, slots=True)
class ClaimAnswer:
    """What the database said to a claim; the outcomes are explained beside ``wearon_worker_claim_v2``."""

    outcome: str
    owner_id: UUID | None = None
    attempt: int = 0
    rate_limited: int = 0
    same_executor: bool = False
    status: str | None = None
    retry_after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class CompleteAnswer:
    """What the database said to a result; the outcomes are explained beside ``wearon_worker_complete_v2``."""

    outcome: str
    retry_after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class FailAnswer:
    """What the database said to a failure: ``outcome``, what was given back, and the row's request id if it has one."""

    outcome: str
    refund_kind: str = "none"
    refunded_credits: int = 0
    request_id: str | None = None
    retry_after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class UnownedSession:
    """An open session that no live executor holds."""

    session: SessionRef
    created_at: datetime


def is_retryable(code: str | None) -> bool:
    """Whether an error code of PostgREST, PostgreSQL or HTTP means "away for now" and not "no" to this one call.

    A wrong key or a missing function is "away" too: an operator mends it, and meanwhile the queue waits.
    """
    if code is None:
        return True
    return (
        code in CREDENTIALS_REFUSED_CODES
        or code in UNKNOWN_FUNCTION_CODES
        or code in RETRYABLE_HTTP_STATUSES
        or code in RETRYABLE_POSTGREST_CODES
        or code in RETRYABLE_SQLSTATES
        or (len(code) == len("40001") and code[:2] in RETRYABLE_SQLSTATE_CLASSES)
    )


class SupabaseClient:
    """Session state and storage. Safe to share between threads."""

    def __init__(self, url: str, service_role_key: str, timeout: httpx.Timeout = REQUEST_TIMEOUT) -> None:
        verify = public_client_context() if url.startswith("https://") else True
        self._http = httpx.Client(
            timeout=timeout,
            verify=verify,
            trust_env=False,
            limits=httpx.Limits(
                max_connections=MAX_CONNECTIONS,
                max_keepalive_connections=MAX_CONNECTIONS,
                keepalive_expiry=KEEPALIVE_SECONDS,
            ),
        )
        self._client: Client = create_client(
            url,
            service_role_key,
            SyncClientOptions(httpx_client=self._http, auto_refresh_token=False, persist_session=False),
        )
        # Both are made on first use, which is not safe when two threads are first.
        self._rest = self._client.postgrest
        self._files = self._client.storage.from_(BUCKET)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def schema_version(self) -> int | None:
        """Version of the worker's migration in the database; ``None`` when it was never applied."""
        try:
            version = self._rpc("wearon_worker_schema_version", {})
        except PlatformUnavailable as error:
            if error.reason in UNKNOWN_FUNCTION_CODES:
                return None
            raise
        if not isinstance(version, int):
            raise PlatformUnavailable("wearon_worker_schema_version", NOT_THE_ANSWER)
        return version

    def heartbeat(self, executor: UUID, *, host: str, lease_seconds: float) -> bool:
        """Register an executor or renew its lease; ``False`` when it was declared dead."""
        answer = self._object(
            "wearon_worker_heartbeat",
            {"p_executor": str(executor), "p_host": host, "p_lease_seconds": lease_seconds},
        )
        return bool(answer["alive"])

    def claim(self, session: SessionRef, *, executor: UUID, fence: UUID, attempt_limit: int) -> ClaimAnswer:
        """Take a session to run it; repeat with the same ``fence`` for the same answer."""
        answer = self._object(
            "wearon_worker_claim_v2",
            {
                **_session(session),
                "p_executor": str(executor),
                "p_fence": str(fence),
                "p_attempt_limit": attempt_limit,
            },
        )
        owner_id = answer.get("owner_id")
        return ClaimAnswer(
            outcome=answer["outcome"],
            owner_id=UUID(owner_id) if owner_id else None,
            attempt=answer.get("attempt", 0),
            rate_limited=answer.get("rate_limited", 0),
            same_executor=answer.get("same_executor", False),
            status=answer.get("status"),
            retry_after_seconds=float(answer.get("retry_after_seconds", 0)),
        )

    def release(self, session: SessionRef, *, fence: UUID, rate_limited: bool) -> str:
        """Hand a claimed session back to the queue; returns the outcome."""
        answer = self._object(
            "wearon_worker_release", {**_session(session), "p_fence": str(fence), "p_rate_limited": rate_limited}
        )
        return str(answer["outcome"])

    def complete(
        self, session: SessionRef, *, fence: UUID, image_url: str, processing_time_ms: int, image: GeneratedImage
    ) -> CompleteAnswer:
        """Mark a session completed (FR-1.8)."""
        answer = self._object(
            "wearon_worker_complete_v2",
            {
                **_session(session),
                "p_fence": str(fence),
                "p_generated_image_url": image_url,
                "p_processing_time_ms": processing_time_ms,
                "p_input_tokens": image.usage.input_tokens,
                "p_output_tokens": image.usage.output_tokens,
                "p_estimated_cost_usd": _number(image.estimated_cost_usd),
            },
        )
        return CompleteAnswer(answer["outcome"], float(answer.get("retry_after_seconds", 0)))

    def fail(self, session: SessionRef, *, fence: UUID | None, message: str, reason: str) -> FailAnswer:
        """Mark a session failed and undo its charge, once for ever (FR-2). ``message`` is what the person reads."""
        answer = self._object(
            "wearon_worker_fail_v2",
            {
                **_session(session),
                "p_fence": None if fence is None else str(fence),
                "p_error_message": message,
                "p_reason": reason,
            },
        )
        refund = answer.get("refund") or {}
        return FailAnswer(
            answer["outcome"],
            refund.get("kind", "none"),
            refund.get("credits", 0),
            answer.get("request_id"),
            float(answer.get("retry_after_seconds", 0)),
        )

    def recover(self, executor: UUID, *, lease_seconds: float, holders: Sequence[UUID]) -> list[UUID]:
        """Declare executors dead whose lease ran out, take their claims, and say which of ``holders`` are dead."""
        answer = self._object(
            "wearon_worker_recover",
            {
                "p_executor": str(executor),
                "p_lease_seconds": lease_seconds,
                "p_holders": [str(holder) for holder in holders],
            },
        )
        return [UUID(dead) for dead in answer["dead"]]

    def retire(self, executor: UUID) -> None:
        """End an executor's life at once."""
        self._rpc("wearon_worker_retire", {"p_executor": str(executor)})

    def forget(self, limit: int) -> int:
        """Delete old claims and executors, at most ``limit`` of each; returns how many of the more numerous kind."""
        answer = self._object("wearon_worker_forget", {"p_limit": limit})
        return max(int(answer["claims"]), int(answer["executors"]))

    def unowned_sessions(
        self, *, grace_seconds: float, after: datetime, after_id: UUID, limit: int
    ) -> list[UnownedSession]:
        """Open sessions older than the grace that no live executor holds, oldest first, after the given place."""
        rows = self._rpc(
            "wearon_worker_unowned_sessions",
            {
                "p_grace_seconds": grace_seconds,
                "p_after": after.isoformat(),
                "p_after_id": str(after_id),
                "p_limit": limit,
            },
        )
        if not isinstance(rows, list):
            raise PlatformUnavailable("wearon_worker_unowned_sessions", NOT_THE_ANSWER)
        return [
            UnownedSession(
                SessionRef(Channel(row["channel"]), UUID(row["session_id"])), datetime.fromisoformat(row["created_at"])
            )
            for row in rows
        ]

    def store_result(self, path: str, jpeg: bytes) -> None:
        """Put a finished picture at ``path``; again over itself when it is there already (FR-1.6)."""
        self._call(
            "store_result",
            lambda: self._files.upload(path, jpeg, {"content-type": "image/jpeg", "upsert": "true"}),
        )

    def sign_result(self, path: str) -> str:
        """A link to the picture at ``path`` that works for six hours (FR-1.7)."""
        answer = self._call("sign_result", lambda: self._files.create_signed_url(path, SIGNED_URL_SECONDS))
        url = answer.get("signedURL")
        if not url:
            raise PlatformRefused("sign_result", "no link in the answer")
        return str(url)

    def _rpc(self, function: str, arguments: dict[str, Any]) -> Any:
        return self._call(function, lambda: self._rest.rpc(function, arguments).execute().data)

    def _object(self, function: str, arguments: dict[str, Any]) -> dict[str, Any]:
        answer = self._rpc(function, arguments)
        if not isinstance(answer, dict):
            # postgrest passes on whatever something in between sent with a 200: a page, an empty answer.
            raise PlatformUnavailable(function, NOT_THE_ANSWER)
        return answer

    @staticmethod
    def _call(operation: str, call: Callable[[], Answer]) -> Answer:
        try:
            return call()
        except httpx.TransportError as error:
            raise PlatformUnavailable(operation, type(error).__name__) from error
        except APIError as error:
            code = error.code
            if code is None and KEY_REFUSED_BY_GATEWAY in (error.message or ""):
                code = str(HTTPStatus.UNAUTHORIZED.value)
            kind = PlatformUnavailable if is_retryable(code) else PlatformRefused
            raise kind(operation, code or "no code") from error
        except StorageApiError as error:
            kind = PlatformUnavailable if is_retryable(str(error.status)) else PlatformRefused
            raise kind(operation, f"HTTP {error.status}") from error
        except (StorageException, httpx.HTTPError, ValueError) as error:
            # ValueError: a 200 whose body is not JSON comes from something in between, not from the platform.
            raise PlatformUnavailable(operation, type(error).__name__) from error


def _session(session: SessionRef) -> dict[str, str]:
    return {"p_channel": session.channel.value, "p_session_id": str(session.session_id)}


def _number(amount: Decimal) -> str:
    """As a string: JSON numbers are binary floating point, and this is money."""
    return str(amount)
