"""The platform behind Supabase: session state and result storage, through the official clients of the two (ADR 0039).

Every function name and argument of ``supabase/migrations/`` that the worker uses is spelled here and nowhere else;
those an operator asks are in ``services/platform/reports.py``. Calls are
idempotent (see the SQL), so a caller may repeat any of them after :class:`PlatformUnavailable`. What came back is
judged in ``services/platform/errors.py``, and successes are read in ``services/platform/answers.py``.
"""

import json
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
from postgrest import SyncPostgrestClient
from storage3 import SyncStorageClient

from models.failures import PlatformFailure, PlatformLocked, PlatformUnavailable, StorageRefused
from models.generation import GeneratedImage, SessionRef
from models.others_words import fit_to_show
from services.platform import answers as platform_answers
from services.platform.answers import ClaimAnswer, CompleteAnswer, FailAnswer, ReleaseOutcome, UnownedSession
from services.platform.errors import (
    NOT_THE_ANSWER,
    UNKNOWN_FUNCTION_CODES,
    Answer,
    is_already_there,
    judge_function,
    judge_storage,
)
from services.tls import public_client_context

SCHEMA_VERSION: Final = 2
"""What ``wearon_worker_schema_version()`` must answer at least."""

BUCKET: Final = "virtual-tryon-images"
SIGNED_URL_SECONDS: Final = 6 * 60 * 60
"""FR-1.7; the platform deletes the picture after the same time."""

PROBE_FOLDER: Final = "wearon-worker"
"""Of the pictures with which the worker asks whether Storage takes any; nobody lists them and each is removed at once.
Not a folder of the platform's, so that a probe left over by a crash is nobody's picture."""

REQUEST_TIMEOUT: Final = httpx.Timeout(20.0, connect=5.0)
"""Seconds. A state change takes milliseconds and an upload of 2 MB a second or two; past this the call is repeated."""

LEASE_TIMEOUT: Final = httpx.Timeout(4.0)
"""Seconds, for what keeps an executor alive: a call on a dead connection must not use up the lease."""

MAX_CONNECTIONS: Final = 32
"""Calls are short: at 300 generations a minute about one is open at a time; more only queue up behind the database."""

KEEPALIVE_SECONDS: Final = 30.0
"""Idle connections are dropped by us before the hosted proxy (a minute or more) does it under a request."""


class Function(StrEnum):
    """The worker's functions in the database."""

    SCHEMA_VERSION = "wearon_worker_schema_version"
    HEARTBEAT = "wearon_worker_heartbeat"
    CLAIM = "wearon_worker_claim_v2"
    RELEASE = "wearon_worker_release"
    COMPLETE = "wearon_worker_complete_v2"
    FAIL = "wearon_worker_fail_v2"
    RECOVER = "wearon_worker_recover"
    FORGET = "wearon_worker_forget"
    RETIRE = "wearon_worker_retire"
    UNOWNED_SESSIONS = "wearon_worker_unowned_sessions"


class Errand(StrEnum):
    """What the worker asks of Storage."""

    STORE = "store_result"
    SIGN = "sign_result"
    LOOK_AT_BUCKET = "look_at_bucket"
    REMOVE = "remove_probe"


class _NoAnswer(Exception):
    """Carries an answer that is no success past the libraries, which drop its status or read it their own way."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def _stop_what_is_no_answer(response: httpx.Response) -> None:
    """Sees every answer before the libraries do: an error, or a success that is not even JSON."""
    response.read()
    if response.status_code == HTTPStatus.NO_CONTENT or (response.is_success and _is_json(response.content)):
        return
    raise _NoAnswer(Answer(response.status_code, response.text, response.headers.get("location")))


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


class SupabaseClient:
    """Session state and storage. Safe to share between threads."""

    def __init__(self, url: str, service_role_key: str, timeout: httpx.Timeout = REQUEST_TIMEOUT) -> None:
        # Ours and not postgrest's own, which speaks HTTP/2: see services/tls.py.
        self._http = httpx.Client(
            timeout=timeout,
            verify=public_client_context(),
            trust_env=False,
            limits=httpx.Limits(
                max_connections=MAX_CONNECTIONS,
                max_keepalive_connections=MAX_CONNECTIONS,
                keepalive_expiry=KEEPALIVE_SECONDS,
            ),
            event_hooks={"response": [_stop_what_is_no_answer]},
        )
        headers = {"apiKey": service_role_key, "Authorization": f"Bearer {service_role_key}"}
        self._rest = SyncPostgrestClient(f"{url}/rest/v1", headers=headers, http_client=self._http)
        self._files = SyncStorageClient(f"{url}/storage/v1/", headers, http_client=self._http).from_(BUCKET)
        self._bucket_url = f"{url}/storage/v1/bucket/{BUCKET}"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def schema_version(self) -> int | None:
        """Version of the worker's migration in the database; ``None`` when it was never applied."""
        try:
            return platform_answers.version(Function.SCHEMA_VERSION, self._rpc(Function.SCHEMA_VERSION, {}))
        except PlatformUnavailable as error:
            if error.reason in UNKNOWN_FUNCTION_CODES:
                return None
            raise

    def heartbeat(self, executor: UUID, *, host: str, lease_seconds: float) -> bool:
        """Register an executor or renew its lease; ``False`` when it was declared dead."""
        answer = self._rpc(
            Function.HEARTBEAT, {"p_executor": str(executor), "p_host": host, "p_lease_seconds": lease_seconds}
        )
        return platform_answers.alive(Function.HEARTBEAT, answer)

    def claim(self, session: SessionRef, *, executor: UUID, fence: UUID, attempt_limit: int) -> ClaimAnswer:
        """Take a session to run it; repeat with the same ``fence`` for the same answer."""
        answer = self._rpc(
            Function.CLAIM,
            {
                **_session(session),
                "p_executor": str(executor),
                "p_fence": str(fence),
                "p_attempt_limit": attempt_limit,
            },
        )
        return platform_answers.claim(Function.CLAIM, answer)

    def release(self, session: SessionRef, *, fence: UUID, rate_limited: bool) -> ReleaseOutcome:
        """Hand a claimed session back to the queue; returns the outcome."""
        answer = self._rpc(
            Function.RELEASE, {**_session(session), "p_fence": str(fence), "p_rate_limited": rate_limited}
        )
        return platform_answers.release(Function.RELEASE, answer)

    def complete(
        self, session: SessionRef, *, fence: UUID, image_url: str, processing_time_ms: int, image: GeneratedImage
    ) -> CompleteAnswer:
        """Mark a session completed (FR-1.8)."""
        answer = self._rpc(
            Function.COMPLETE,
            {
                **_session(session),
                "p_fence": str(fence),
                "p_generated_image_url": image_url,
                "p_processing_time_ms": processing_time_ms,
                "p_input_tokens": None if image.usage is None else image.usage.input_tokens,
                "p_output_tokens": None if image.usage is None else image.usage.output_tokens,
                "p_estimated_cost_usd": None if image.estimated_cost_usd is None else _number(image.estimated_cost_usd),
            },
        )
        return platform_answers.completion(Function.COMPLETE, answer)

    def fail(self, session: SessionRef, *, fence: UUID | None, message: str, reason: str) -> FailAnswer:
        """Mark a session failed and undo its charge, once for ever (FR-2). ``message`` is what the person reads."""
        answer = self._rpc(
            Function.FAIL,
            {
                **_session(session),
                "p_fence": None if fence is None else str(fence),
                "p_error_message": message,
                "p_reason": reason,
            },
        )
        return platform_answers.failure(Function.FAIL, answer)

    def recover(self, executor: UUID, *, lease_seconds: float, holders: Sequence[UUID]) -> list[UUID]:
        """Declare executors dead whose lease ran out, take their claims, and say which of ``holders`` are dead."""
        answer = self._rpc(
            Function.RECOVER,
            {
                "p_executor": str(executor),
                "p_lease_seconds": lease_seconds,
                "p_holders": [str(holder) for holder in holders],
            },
        )
        return platform_answers.dead(Function.RECOVER, answer)

    def retire(self, executor: UUID) -> None:
        """End an executor's life at once."""
        self._rpc(Function.RETIRE, {"p_executor": str(executor)})

    def forget(self, limit: int) -> int:
        """Delete old claims and executors, at most ``limit`` of each; returns how many of the more numerous kind."""
        answer = self._rpc(Function.FORGET, {"p_limit": limit})
        return platform_answers.forgotten(Function.FORGET, answer)

    def unowned_sessions(
        self, *, grace_seconds: float, after: datetime, after_id: UUID, limit: int
    ) -> list[UnownedSession]:
        """Open sessions older than the grace that no live executor holds, oldest first, after the given place."""
        rows = self._rpc(
            Function.UNOWNED_SESSIONS,
            {
                "p_grace_seconds": grace_seconds,
                "p_after": after.isoformat(),
                "p_after_id": str(after_id),
                "p_limit": limit,
            },
        )
        return platform_answers.unowned(Function.UNOWNED_SESSIONS, rows)

    def report(self, function: str, arguments: dict[str, Any]) -> Any:
        """What a function that only reads answers, as it came.

        Raises:
            PlatformFailure: no answer of the function's.
        """
        return self._rpc(function, arguments)

    def store_result(self, path: str, jpeg: bytes) -> None:
        """Put a finished picture at ``path``; again over itself when it is there already (FR-1.6).

        Raises:
            PlatformUnavailable: it may be there or not; store it again.
            StorageRefused: Storage takes no picture like this.
        """
        with _judged(Errand.STORE, judge_storage):
            try:
                answer = self._files.upload(path, jpeg, {"content-type": "image/jpeg", "upsert": "true"})
            except _NoAnswer as no:
                # Two tries of ours met; the first one's picture is as good.
                if is_already_there(no.answer):
                    return
                raise
            if not str(answer.full_path).endswith(path):
                raise PlatformUnavailable(Errand.STORE, NOT_THE_ANSWER)

    def sign_result(self, path: str) -> str:
        """A link to the picture at ``path`` that works for six hours (FR-1.7).

        Raises:
            PlatformUnavailable: ask again.
            StorageRefused: there is no such picture.
        """
        with _judged(Errand.SIGN, judge_storage):
            url = str(self._files.create_signed_url(path, SIGNED_URL_SECONDS)["signedURL"])
            if path not in url or "token=" not in url:
                raise PlatformUnavailable(Errand.SIGN, NOT_THE_ANSWER)
            return url

    def check_storage(self, jpeg: bytes, size_bytes: int) -> None:
        """Ask Storage whether it takes pictures: is the bucket there, are its limits wide enough, does it take one?

        Args:
            jpeg: a small picture; it is stored, signed and removed.
            size_bytes: the largest picture that will come.

        Raises:
            PlatformUnavailable: it does not say.
            StorageRefused: it takes none; ``detail`` is what it says.
        """
        with _judged(Errand.LOOK_AT_BUCKET, judge_storage):
            # Not through the client: its form demands an owner, and a bucket made by SQL has none.
            bucket = self._http.get(self._bucket_url, headers=self._rest.headers).json()
            limit_bytes = platform_answers.size_limit_bytes(Errand.LOOK_AT_BUCKET, bucket)
        if limit_bytes and limit_bytes < size_bytes:
            words = f"the bucket takes files of up to {limit_bytes} bytes, pictures may have {size_bytes}"
            raise StorageRefused(Errand.LOOK_AT_BUCKET, "size limit", words)
        path = f"{PROBE_FOLDER}/probe-{uuid4()}.jpg"
        self.store_result(path, jpeg)
        self.sign_result(path)
        self._remove(path)

    def _remove(self, path: str) -> None:
        try:
            with _judged(Errand.REMOVE, judge_storage):
                self._files.remove([path])
        except PlatformFailure:
            # It takes pictures, which was the question. What is left is a few hundred bytes.
            return

    def _rpc(self, function: str, arguments: dict[str, Any]) -> Any:
        with _judged(function, judge_function):
            return self._rest.rpc(function, arguments).execute().data


@contextmanager
def _judged(operation: str, judge: Callable[[str, Answer], PlatformFailure]) -> Iterator[None]:
    """Everything that can go wrong in a call becomes a ``PlatformFailure``."""
    try:
        yield
    except _NoAnswer as no:
        raise judge(operation, no.answer) from None
    except httpx.HTTPError as error:
        kind = PlatformLocked if _is_certificate_refused(error) else PlatformUnavailable
        raise kind(operation, type(error).__name__, fit_to_show(str(error))) from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        # So the libraries fail on a success whose body is a page or another's JSON. It came from something in between.
        raise PlatformUnavailable(operation, NOT_THE_ANSWER, type(error).__name__) from error


def _is_certificate_refused(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _session(session: SessionRef) -> dict[str, str]:
    return {"p_channel": session.channel.value, "p_session_id": str(session.session_id)}


def _number(amount: Decimal) -> str:
    """As a string: JSON numbers are binary floating point, and this is money."""
    return str(amount)
