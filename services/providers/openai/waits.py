"""[pure] How long a 429 says to wait.

The provider names it in several places, not always in all of them. In order of trust:

1. ``retry-after-ms``, in milliseconds, and ``Retry-After``, in seconds or as a date (RFC 9110, 10.2.3; both are what
   OpenAI's own SDK reads);
2. the message: "Please try again in 20s", "in 1m2.5s", "in 250ms", "try again after 51.84 seconds"
   (receptron/mulmocast-cli issue 477);
3. ``x-ratelimit-reset-requests`` or ``-tokens``, for example "1s" or "6m0s", of a limit whose ``remaining`` is 0
   (OpenAI's rate limit guide). It tells when the limit is whole again, which is longer than needed: so it comes last.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_LIMITS: Final = ("requests", "tokens")

_NUMBER: Final = r"\d{1,9}(?:\.\d{1,9})?"
_PARTS: Final = re.compile(rf"({_NUMBER})\s*(ms|milliseconds?|s|seconds?|m|minutes?|h|hours?|d|days?)(?![a-z])", re.I)
_DURATION: Final = rf"(?:{_NUMBER}\s*[a-z]+\s*)+"
_IN_WORDS: Final = re.compile(rf"\btry again (?:in|after) ({_DURATION})", re.IGNORECASE)

_UNIT_SECONDS: Final = {"ms": 0.001, "milli": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def named_wait_seconds(headers: Mapping[str, str], message: str, *, now: datetime | None = None) -> float | None:
    """Seconds to wait before the request is sent again; ``None`` when the answer names none.

    Args:
        headers: with lower-case names, or a mapping that ignores case.
        message: of the error object.
        now: for a date in ``Retry-After``; the clock's time if not given.
    """
    candidates = (
        _milliseconds(headers.get("retry-after-ms", "")),
        _retry_after(headers.get("retry-after", ""), now or datetime.now(UTC)),
        _in_words(message),
        _reset(headers),
    )
    return next((seconds for seconds in candidates if seconds is not None), None)


def _milliseconds(text: str) -> float | None:
    return float(text) / 1000 if re.fullmatch(_NUMBER, text.strip()) else None


def _retry_after(text: str, now: datetime) -> float | None:
    if re.fullmatch(_NUMBER, text.strip()):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
        if date.tzinfo is None:  # "-0000", which the RFC reads as UTC
            date = date.replace(tzinfo=UTC)
        return max(0.0, (date - now).total_seconds())
    except (ValueError, OverflowError):  # the second for a year or an hour of twenty digits
        return None


def _in_words(message: str) -> float | None:
    match = _IN_WORDS.search(message)
    return _duration(match[1]) if match else None


def _reset(headers: Mapping[str, str]) -> float | None:
    used_up = [name for name in _LIMITS if headers.get(f"x-ratelimit-remaining-{name}", "").strip() == "0"]
    waits = [_duration(headers.get(f"x-ratelimit-reset-{name}", "")) for name in used_up]
    return max((seconds for seconds in waits if seconds is not None), default=None)


def _duration(text: str) -> float | None:
    parts = _PARTS.findall(text)
    return sum(float(number) * _unit_seconds(unit.lower()) for number, unit in parts) if parts else None


def _unit_seconds(unit: str) -> float:
    return next(seconds for name, seconds in _UNIT_SECONDS.items() if unit.startswith(name))
