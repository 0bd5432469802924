"""[pure] What an answer that is no picture means.

The error codes are read before the status: the provider says "quota used up" with 429 or 400, and "no such model" or
"not for you" with 404, 403 or 400. Sources: OpenAI's error code guide, ``openapi.yaml`` of 2026-08-21, and bodies
quoted in public issues (named in the tests).
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final

from models.failures import (
    CredentialsRejected,
    Moderated,
    ProviderAnswerUnusable,
    ProviderFailure,
    ProviderRejectedRequest,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
)
from models.redaction import blotted
from services.providers.image_provider import ModelGone, Retryable
from services.providers.openai.waits import named_wait_seconds

MODERATION_CODES: Final = frozenset({"moderation_blocked", "content_policy_violation"})

MODEL_GONE_CODES: Final = frozenset({"model_not_found", "model_deprecated", "model_retired", "model_not_available"})

_ACCOUNT_LIMIT: Final = re.compile(r"quota|credit|spend|billing|usage_limit")
"""In a code or type: insufficient_quota, credit_balance_exhausted, organization_spend_limit_exceeded,
project_spend_limit_exceeded, organization_usage_limit_exceeded, billing_hard_limit_reached, billing_not_active."""

_ACCOUNT_LIMIT_MESSAGE: Final = re.compile(r"exceeded your current quota|billing hard limit", re.IGNORECASE)
"""Only these: ordinary rate limit messages also speak of billing ("add a payment method")."""

_SAFETY_MESSAGE: Final = re.compile(r"\bsafety system\b", re.IGNORECASE)

_PERSON_LIMITED_MESSAGE: Final = re.compile(
    r"\bthis user's access to .* (temporarily )?(limited|blocked|restricted|suspended)\b", re.IGNORECASE | re.DOTALL
)
"""Of the end user that ``safety_identifier`` names, not of the account (openai/codex issues 13308 and 13316)."""

_MODEL_GONE_MESSAGE: Final = re.compile(
    r"\bmodel\b.*("
    r"does not exist|not found|deprecated|retired|sunset|shut ?down|decommissioned|discontinued"
    r"|no longer (available|supported|exists))",
    re.IGNORECASE | re.DOTALL,
)

_UNVERIFIED_MESSAGE: Final = re.compile(r"\bmust be verified to (use|stream|access) .*\bmodel\b", re.I | re.S)
"""Whatever the status: 403 (receptron/mulmocast-app issue 1090, openai/openai-go issue 565), 404
(danny-avila/LibreChat issue 7323) or 400 (continuedev/continue issue 8209)."""

_NO_ACCESS_MESSAGE: Final = re.compile(
    r"^(?!.*\bdoes not exist\b).*\b(do|does) not have access to .*\bmodel\b"
    r"|\bnot (allowed|permitted|authorized) to (use|access|sample from) .*\bmodel\b",
    re.IGNORECASE | re.DOTALL,
)
"""Of a model this account may not use. "Does not exist or you do not have access to it" is what the provider says of
every model that is gone."""

_NO_ACCESS_STATUSES: Final = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})

_MODEL_GONE_STATUSES: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_CREDENTIAL_STATUSES: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})

_PASSING_STATUSES: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT})
"""Tried again like 5xx (docs/adr/0027)."""

MAX_READ_CHARS: Final = 4_000
"""Of a text, before it is made fit for the log."""

MAX_MESSAGE_CHARS: Final = 300
MAX_CODE_CHARS: Final = 64


@dataclass(frozen=True, slots=True)
class ProviderError:
    """The ``error`` object of a body, empty strings for what is missing or no text."""

    message: str = ""
    type: str = ""
    param: str = ""
    code: str = ""


def classify(status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure | ModelGone | Retryable:
    """What an answer other than 200 means for the task.

    Args:
        status: HTTP status.
        headers: with lower-case names, or a mapping that ignores case.
        body: the answer's body or its beginning; need not be JSON.

    Returns:
        A failure to raise, or a reason to go on with another model or another attempt.
    """
    error = parse_error(body)
    shown = replace(error, message="") if status == HTTPStatus.UNAUTHORIZED else error  # it quotes a part of the key
    reason = _describe(status, shown)
    facts: dict[str, Any] = {
        "status": status,
        "code": error.code or error.type or None,
        "provider_request_id": headers.get("x-request-id"),
    }
    if _is_person_refused(status, error):
        return Moderated(reason, **facts)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _PASSING_STATUSES:
        return Retryable(ProviderUnavailable(reason, **facts))
    if status < HTTPStatus.BAD_REQUEST:
        return ProviderAnswerUnusable(reason, **facts)
    if _is_model_refused(status, error) or _is_model_gone(status, error):
        return ModelGone(ProviderFailure(reason, **facts), for_good=not _is_model_refused(status, error))
    kind = next((kind for applies, kind in _CLIENT_ERRORS if applies(status, error)), ProviderRejectedRequest)
    if kind is RateLimited:
        return RateLimited(reason, **facts, retry_after_seconds=named_wait_seconds(headers, error.message))
    return kind(reason, **facts)


def _is_model_refused(status: int, error: ProviderError) -> bool:
    if status == HTTPStatus.FORBIDDEN and error.code in MODEL_GONE_CODES:
        return True
    if status == HTTPStatus.UNAUTHORIZED:
        return False
    no_access = status in _NO_ACCESS_STATUSES and _NO_ACCESS_MESSAGE.search(error.message)
    return bool(no_access or _UNVERIFIED_MESSAGE.search(error.message))


def _is_model_gone(status: int, error: ProviderError) -> bool:
    if error.code in MODEL_GONE_CODES:
        return True
    if status not in _MODEL_GONE_STATUSES:
        return False
    # "Invalid value: 'gpt-image-1'. Supported values are: …" with param "model" is how a model leaves this endpoint.
    return error.param == "model" or bool(_MODEL_GONE_MESSAGE.search(error.message))


def _is_account_limit(status: int, error: ProviderError) -> bool:
    # The type is often insufficient_quota beside a more exact code, but never beside an ordinary rate limit.
    return (
        status == HTTPStatus.PAYMENT_REQUIRED
        or bool(_ACCOUNT_LIMIT.search(f"{error.code} {error.type}"))
        or bool(_ACCOUNT_LIMIT_MESSAGE.search(error.message))
    )


def _is_credentials_rejected(status: int, _error: ProviderError) -> bool:
    return status in _CREDENTIAL_STATUSES


def _is_rate_limited(status: int, _error: ProviderError) -> bool:
    return status == HTTPStatus.TOO_MANY_REQUESTS


def _is_person_refused(status: int, error: ProviderError) -> bool:
    # Whatever the status and the param say, it is about this picture or this person; account and model work.
    if status == HTTPStatus.UNAUTHORIZED:
        return False
    return error.code in MODERATION_CODES or bool(_PERSON_LIMITED_MESSAGE.search(error.message))


def _is_moderated(_status: int, error: ProviderError) -> bool:
    return bool(_SAFETY_MESSAGE.search(error.message))


_CLIENT_ERRORS: Final[tuple[tuple[Callable[[int, ProviderError], bool], type[ProviderFailure]], ...]] = (
    (_is_account_limit, QuotaExhausted),
    (_is_credentials_rejected, CredentialsRejected),
    (_is_rate_limited, RateLimited),
    (_is_moderated, Moderated),
)
"""The first that applies to a 4xx; any other is ``ProviderRejectedRequest``."""


def parse_error(body: bytes) -> ProviderError:
    """The provider's error object; an empty one if the body is no JSON or has another shape."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ProviderError()
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict):
        return ProviderError()
    return ProviderError(
        message=_text(error.get("message"), MAX_MESSAGE_CHARS),
        type=_text(error.get("type"), MAX_CODE_CHARS),
        param=_text(error.get("param"), MAX_CODE_CHARS),
        code=_text(error.get("code"), MAX_CODE_CHARS),
    )


def _text(value: object, max_chars: int) -> str:
    """One line without what may be a secret, for the log."""
    if not isinstance(value, str):
        return ""
    return blotted(" ".join(value[:MAX_READ_CHARS].split()))[:max_chars]


def _describe(status: int, error: ProviderError) -> str:
    parts = [f"HTTP {status}", error.code or error.type, f"({error.param})" if error.param else ""]
    head = " ".join(part for part in parts if part)
    return f"{head}: {error.message}" if error.message else head
