"""[pure] The catalogue of faults and the markers that ask for them.

A prompt asks for a fault with ``[[sim:NAME]]`` or ``[[sim:NAME=VALUE]]``; several markers may stand in one prompt and
are tried in order. A fault whose name ends in ``-once`` hits the first request of each distinct prompt text. A marker
that names no fault is refused loudly, so that a misspelt test does not pass by accident.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from sandbox.openai_sim.errors import (
    SERVER_ERROR,
    ApiError,
    WaitNamedIn,
    model_access_denied,
    model_retired,
    moderation_blocked,
    organization_unverified,
    person_limited,
)

_MARKER: Final = re.compile(r"\[\[sim:([^\]=]*)(?:=([^\]]*))?\]\]")

QUICK_RETRY_SECONDS: Final = 1.0
"""``Retry-After`` of scripted 429 answers: short, so that tests stay quick."""

DEFAULT_DRIP_SECONDS: Final = 600.0
"""A slow drip outlasts any sensible deadline unless told otherwise."""


class AnswerDefect(StrEnum):
    """What is wrong with a 200 answer."""

    MALFORMED_JSON = "malformed json"
    EMPTY_DATA = "empty data"
    NOT_A_PICTURE = "not a picture"
    TRUNCATED_PICTURE = "truncated picture"
    PNG = "png whatever was asked for"
    NO_USAGE = "no usage"
    USAGE_WITHOUT_DETAILS = "usage without details"
    CACHED_INPUT = "half of the input counted as cached"


class ConnectionFault(StrEnum):
    """What the connection does instead of carrying an answer."""

    HANG = "never answers"
    DROP = "closes in the middle of the answer"
    SLOW_DRIP = "sends the answer a little at a time"
    HELD_MIDWAY = "sends the second half of the answer when the control API says so"


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answers with ``error``; ``after_latency`` if the real API does so only when a result would have been ready."""

    error: ApiError
    after_latency: bool = False


@dataclass(frozen=True, slots=True)
class ProxyPage:
    """Answers with an HTML page instead of JSON, as a proxy in front of the API does."""

    status: int


@dataclass(frozen=True, slots=True)
class RefuseModel:
    """Answers with the error made from the requested model's name; hits one model where the marker names it."""

    error: Callable[[str], ApiError]


@dataclass(frozen=True, slots=True)
class NameWait:
    """Answers 429 and names the seconds after ``=`` as the time to wait."""

    named_in: WaitNamedIn


class Special(Enum):
    """What is no fault of the answer but decides when it comes; it may stand beside a fault."""

    LATENCY = "changes when the answer comes"
    HELD = "lets the answer wait for the control API"


class Takes(Enum):
    """What may follow the name after ``=``."""

    NOTHING = "nothing"
    SECONDS = "a number of seconds"
    MODEL = "a model's name"


Effect = Refuse | RefuseModel | NameWait | ProxyPage | AnswerDefect | ConnectionFault | Special


@dataclass(frozen=True, slots=True)
class Fault:
    """One scriptable fault: its name in a marker, a one-line meaning, and what it does."""

    name: str
    meaning: str
    effect: Effect
    takes: Takes = Takes.NOTHING
    value_required: bool = False

    @property
    def once(self) -> bool:
        """Whether it hits only the first request of each distinct prompt."""
        return self.name.endswith("-once")


@dataclass(frozen=True, slots=True)
class Marker:
    """A fault asked for, with the value after ``=`` if any."""

    fault: Fault
    value: str | None = None

    @property
    def seconds(self) -> float | None:
        """The value as seconds, where the fault takes seconds."""
        return float(self.value) if self.value is not None and self.fault.takes is Takes.SECONDS else None

    def __str__(self) -> str:
        return self.fault.name if self.value is None else f"{self.fault.name}={self.value}"


class UnknownFault(ValueError):
    """A marker names no fault of the catalogue, or its value is missing or malformed."""


def _rate_limited() -> Refuse:
    message = "Rate limit reached for images in organization org-simulated on requests per min (RPM). Please try again."
    return Refuse(
        ApiError(
            429,
            message,
            code="rate_limit_exceeded",
            error_type="requests",
            retry_after_seconds=QUICK_RETRY_SECONDS,
        )
    )


def _account_stopped(code: str, message: str) -> Refuse:
    """A 429 that waiting does not cure; the type is ``insufficient_quota`` whatever the code says."""
    return Refuse(ApiError(429, message, code=code, error_type="insufficient_quota"))


def _server_failed(status: int, code: str | None, message: str) -> Refuse:
    return Refuse(ApiError(status, message, code=code, error_type=SERVER_ERROR))


_SERVER_ERROR_TEXT: Final = "The server had an error while processing your request. Sorry about that!"
_OVERLOADED_TEXT: Final = "The engine is currently overloaded, please try again later."
_QUOTA_TEXT: Final = "You exceeded your current quota, please check your plan and billing details."
_POLICY_TEXT: Final = "Your request was rejected as a result of our safety system."
_BAD_KEY_TEXT: Final = "Incorrect API key provided: sk-***. You can find your API key at the account page."
_FORBIDDEN_TEXT: Final = "Country, region, or territory not supported"
_CONFLICT_TEXT: Final = "The request conflicts with one that is under way. Please try again."

_CATALOGUE: Final = (
    Fault(
        "moderation",
        "400 moderation_blocked at once: the safety system refuses the input",
        Refuse(moderation_blocked("input")),
    ),
    Fault(
        "moderation-output",
        "400 moderation_blocked after the usual latency: the safety system refuses the result",
        Refuse(moderation_blocked("output"), after_latency=True),
    ),
    Fault(
        "content-policy",
        "400 content_policy_violation: the older form of a moderation refusal",
        Refuse(ApiError(400, _POLICY_TEXT, code="content_policy_violation")),
    ),
    Fault(
        "moderation-403",
        "403 moderation_blocked: the same behind a gateway that gives it a status of its own",
        Refuse(moderation_blocked("input", status=403)),
    ),
    Fault("person-limited", "403: the end user is limited, and nobody else", RefuseModel(person_limited)),
    Fault(
        "bad-request",
        "400 invalid_value: the API finds fault with the request",
        Refuse(ApiError(400, "Invalid value.", code="invalid_value")),
    ),
    Fault("429-once", "429 rate_limit_exceeded with Retry-After, first request of each prompt", _rate_limited()),
    Fault("429-always", "429 rate_limit_exceeded with Retry-After, every time", _rate_limited()),
    Fault(
        "slow-down-once",
        "429 slow_down, first request of each prompt",
        Refuse(ApiError(429, "Please slow down.", code="slow_down", error_type="requests")),
    ),
    Fault(
        "quota", "429 insufficient_quota: waiting does not help", _account_stopped("insufficient_quota", _QUOTA_TEXT)
    ),
    Fault(
        "credit-exhausted",
        "429 credit_balance_exhausted: waiting does not help",
        _account_stopped("credit_balance_exhausted", _QUOTA_TEXT),
    ),
    Fault(
        "spend-limit",
        "429 project_spend_limit_exceeded: waiting does not help",
        _account_stopped("project_spend_limit_exceeded", _QUOTA_TEXT),
    ),
    Fault("401", "401 invalid_api_key", Refuse(ApiError(401, _BAD_KEY_TEXT, code="invalid_api_key"))),
    Fault(
        "403",
        "403 unsupported_country_region_territory: the whole account is refused",
        Refuse(
            ApiError(
                403,
                _FORBIDDEN_TEXT,
                code="unsupported_country_region_territory",
                error_type="request_forbidden",
            )
        ),
    ),
    Fault(
        "unverified",
        "403: the organization must be verified to use every model, or only MODEL with =MODEL",
        RefuseModel(organization_unverified),
        takes=Takes.MODEL,
    ),
    Fault(
        "no-access",
        "403 model_not_found: the project has no access to any model, or only not to MODEL with =MODEL",
        RefuseModel(model_access_denied),
        takes=Takes.MODEL,
    ),
    Fault(
        "model-gone",
        "404 model_not_found for every model, or only for MODEL with =MODEL",
        RefuseModel(model_retired),
        takes=Takes.MODEL,
    ),
    *(
        Fault(
            f"429-{name}",
            f"429 rate_limit_exceeded every time, with a wait in {named_in}: =SECONDS, or {QUICK_RETRY_SECONDS:g} s",
            NameWait(named_in),
            takes=Takes.SECONDS,
        )
        for name, named_in in {
            "wait": WaitNamedIn.HEADERS,
            "wait-date": WaitNamedIn.DATE,
            "wait-words": WaitNamedIn.MESSAGE,
            "wait-reset": WaitNamedIn.RESET,
        }.items()
    ),
    *(
        Fault(f"{status}-{when}", f"{status}, {often}", _server_failed(status, None, text))
        for status, text in {408: "Request timed out.", 409: _CONFLICT_TEXT}.items()
        for when, often in {"once": "first request of each prompt", "always": "every time"}.items()
    ),
    Fault("500-once", "500 server_error, first request of each prompt", _server_failed(500, None, _SERVER_ERROR_TEXT)),
    Fault("500-always", "500 server_error, every time", _server_failed(500, None, _SERVER_ERROR_TEXT)),
    Fault("502-once", "502 with an HTML page, first request of each prompt", ProxyPage(502)),
    Fault("502-always", "502 with an HTML page, every time", ProxyPage(502)),
    Fault(
        "503-once",
        "503 server_is_overloaded, first request of each prompt",
        _server_failed(503, "server_is_overloaded", _OVERLOADED_TEXT),
    ),
    Fault(
        "503-always",
        "503 server_is_overloaded, every time",
        _server_failed(503, "server_is_overloaded", _OVERLOADED_TEXT),
    ),
    Fault("504-once", "504 with an HTML page, first request of each prompt", ProxyPage(504)),
    Fault("hang", "never answers; the connection stays open", ConnectionFault.HANG),
    Fault("hang-once", "never answers the first request of each prompt", ConnectionFault.HANG),
    Fault("drop", "closes the connection in the middle of a 200 answer, every time", ConnectionFault.DROP),
    Fault("drop-once", "closes the connection midway, first request of each prompt", ConnectionFault.DROP),
    Fault(
        "slow-drip",
        f"sends a 200 answer a little at a time over {DEFAULT_DRIP_SECONDS:g} s, or over =SECONDS",
        ConnectionFault.SLOW_DRIP,
        takes=Takes.SECONDS,
    ),
    Fault(
        "held-midway",
        "sends half of a 200 answer, and the rest only when the control API releases it",
        ConnectionFault.HELD_MIDWAY,
    ),
    Fault("malformed", "200 with broken JSON", AnswerDefect.MALFORMED_JSON),
    Fault("no-image", "200 with an empty data list", AnswerDefect.EMPTY_DATA),
    Fault("not-a-picture", "200 whose b64_json is text, not a picture", AnswerDefect.NOT_A_PICTURE),
    Fault("truncated-picture", "200 with the first half of a picture", AnswerDefect.TRUNCATED_PICTURE),
    Fault("png-instead", "200 with PNG bytes whatever output_format asked for", AnswerDefect.PNG),
    Fault("no-usage", "200 without usage", AnswerDefect.NO_USAGE),
    Fault(
        "usage-without-details",
        "200 whose usage has totals but no input or output details",
        AnswerDefect.USAGE_WITHOUT_DETAILS,
    ),
    Fault("cached-input", "200 whose usage says that half of the input was cached", AnswerDefect.CACHED_INPUT),
    Fault(
        "latency",
        "answers SECONDS after the request arrived, instead of the server's own latency",
        Special.LATENCY,
        takes=Takes.SECONDS,
        value_required=True,
    ),
    Fault("held", "answers, whatever the answer is, only when the control API releases it", Special.HELD),
)

FAULTS: Final = {fault.name: fault for fault in _CATALOGUE}


def make_marker(name: str, value: str | None = None) -> Marker:
    """The fault called ``name`` with ``value``; raises :class:`UnknownFault`."""
    fault = FAULTS.get(name)
    if fault is None:
        raise UnknownFault(f"no fault is called '{name}'")
    if value is None and fault.value_required:
        raise UnknownFault(f"the fault '{name}' needs {fault.takes.value}")
    if value is not None:
        _check_value(fault, value)
    return Marker(fault, value)


def parse_markers(prompt: str) -> tuple[Marker, ...]:
    """The faults a prompt asks for, in order; raises :class:`UnknownFault`."""
    return tuple(make_marker(match[1], match[2]) for match in _MARKER.finditer(prompt))


def _check_value(fault: Fault, value: str) -> None:
    if fault.takes is Takes.NOTHING:
        raise UnknownFault(f"the fault '{fault.name}' takes no value")
    if fault.takes is Takes.SECONDS and re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value) is None:
        raise UnknownFault(f"the fault '{fault.name}' takes {fault.takes.value}, not '{value}'")
