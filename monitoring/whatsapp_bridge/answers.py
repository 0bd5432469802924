"""[pure] Meta's answers, and what each asks of us: a table by ``error.code``, as Meta advises, not by status or text.

Codes: developers.facebook.com, WhatsApp Cloud API, error codes. A message leaves the queue in three ways only:
accepted, refused for a reason that no waiting mends, or too old.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any, Final


class Result(Enum):
    """What a call to Meta came to: the values of the label ``result`` of ``wearon_whatsapp_requests_total``."""

    OK = "ok"
    TOKEN = "token"  # noqa: S105 - a label
    RATE = "rate"
    TEMPLATE = "template"
    BILLING = "billing"
    RECIPIENT = "recipient"
    WINDOW = "window"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"


class Action(Enum):
    """What is done about it."""

    DONE = "done"
    RETRY_ALL = "retry soon, nobody gets anything meanwhile"
    RETRY_RECIPIENT = "retry, this recipient waits alone"
    WAIT_FOR_OPERATOR = "retry slowly: a person has to act first"
    REFUSE = "give this message up"


@dataclass(frozen=True, slots=True)
class Rule:
    """How one code is met, and what a person shall do about it."""

    result: Result
    action: Action
    advice: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one call."""

    rule: Rule
    code: int | None = None
    """Meta's ``error.code``; none where there was no answer, or one without."""
    subcode: int | None = None
    details: str = ""
    """Meta's own words."""
    retry_after_seconds: float | None = None
    """From the header ``Retry-After``."""


WAITS: Final = "No action: it is tried again."

ACCEPTED: Final = Rule(Result.OK, Action.DONE, "")
NO_ANSWER: Final = Rule(
    Result.UNAVAILABLE,
    Action.RETRY_ALL,
    f"Meta did not answer. {WAITS} If it lasts: metastatus.com, and the host's way out (DNS, firewall).",
)
_UNAVAILABLE: Final = Rule(
    Result.UNAVAILABLE, Action.RETRY_ALL, f"Meta has a fault. {WAITS} If it lasts: metastatus.com."
)
_TOKEN: Final = Rule(
    Result.TOKEN,
    Action.WAIT_FOR_OPERATOR,
    "Make a new access token at Meta (business settings, system users), put it into WHATSAPP_ACCESS_TOKEN in .env, and "
    "restart the bridge.",
)
_PERMISSION: Final = Rule(
    Result.TOKEN,
    Action.WAIT_FOR_OPERATOR,
    "Give the token's system user the permission whatsapp_business_messaging and the WhatsApp account, make a new "
    "token, put it into WHATSAPP_ACCESS_TOKEN in .env, and restart the bridge.",
)
_ADDRESS: Final = Rule(
    Result.TOKEN,
    Action.WAIT_FOR_OPERATOR,
    "Compare WHATSAPP_PHONE_NUMBER_ID (the id, not the number) and WHATSAPP_API_VERSION in .env with WhatsApp Manager, "
    "and restart the bridge.",
)
_THROUGHPUT: Final = Rule(
    Result.RATE, Action.RETRY_ALL, f"The sending number's or the account's limit was reached. {WAITS}"
)
_SPAM: Final = Rule(
    Result.RATE,
    Action.WAIT_FOR_OPERATOR,
    "Meta holds this number back, because people blocked or reported it. See its quality in WhatsApp Manager.",
)
_PAIR: Final = Rule(Result.RATE, Action.RETRY_RECIPIENT, f"Too many messages to one recipient. {WAITS}")
_TEMPLATE: Final = Rule(
    Result.TEMPLATE,
    Action.WAIT_FOR_OPERATOR,
    "Compare the template in WhatsApp Manager with docs/whatsapp.md (its text), WHATSAPP_TEMPLATE_NAME and "
    "WHATSAPP_TEMPLATE_LANGUAGE. Is it approved, and not paused?",
)
_TEXT: Final = Rule(
    Result.TEMPLATE,
    Action.REFUSE,
    "The message's text was refused; it is in this line. Is the template longer than the one in docs/whatsapp.md?",
)
_BILLING: Final = Rule(
    Result.BILLING,
    Action.WAIT_FOR_OPERATOR,
    "Put the payment method of the WhatsApp account in order (business settings, billing).",
)
_BLOCKED: Final = Rule(
    Result.BILLING,
    Action.WAIT_FOR_OPERATOR,
    "Meta has restricted or locked the account: see the account quality page in business settings.",
)
_RECIPIENT: Final = Rule(
    Result.RECIPIENT,
    Action.REFUSE,
    "This number gets nothing. Is it on WhatsApp, has it accepted the terms, has it blocked us, does a test number's "
    "list have it? Correct WHATSAPP_RECIPIENTS in .env.",
)
_WINDOW: Final = Rule(
    Result.WINDOW,
    Action.REFUSE,
    "Meta took the message for free text, and it was a template. Is WHATSAPP_API_VERSION still supported?",
)
_UNKNOWN: Final = Rule(
    Result.UNKNOWN,
    Action.RETRY_RECIPIENT,
    "Look the code up in Meta's list of WhatsApp Cloud API error codes. It is tried a few times.",
)

RULES: Final[Mapping[int, Rule]] = {
    0: _TOKEN,
    190: _TOKEN,
    3: _PERMISSION,
    10: _PERMISSION,
    **dict.fromkeys(range(200, 300), _PERMISSION),
    131005: _PERMISSION,
    33: _ADDRESS,
    2500: _ADDRESS,
    133010: _ADDRESS,
    1: _UNAVAILABLE,
    2: _UNAVAILABLE,
    131000: _UNAVAILABLE,
    131016: _UNAVAILABLE,
    131057: _UNAVAILABLE,
    133004: _UNAVAILABLE,
    4: _THROUGHPUT,
    80007: _THROUGHPUT,
    130429: _THROUGHPUT,
    131048: _SPAM,
    131056: _PAIR,
    132000: _TEMPLATE,
    132001: _TEMPLATE,
    132007: _TEMPLATE,
    132012: _TEMPLATE,
    132015: _TEMPLATE,
    132016: _TEMPLATE,
    132005: _TEXT,
    132018: _TEXT,
    131042: _BILLING,
    368: _BLOCKED,
    131031: _BLOCKED,
    131021: _RECIPIENT,
    131026: _RECIPIENT,
    131030: _RECIPIENT,
    131049: _RECIPIENT,
    131050: _RECIPIENT,
    130472: _RECIPIENT,
    130497: _RECIPIENT,
    131047: _WINDOW,
}
"""133010: the number is not registered for the Cloud API. 131005: access denied. 2500: no such version or path."""

NO_SUCH_OBJECT: Final = (100, 33)
"""Code and subcode of a phone number id that does not exist, or that the token may not see."""

LONGEST_DETAILS_CHARACTERS: Final = 300
"""Of Meta's words in a log line."""


def verdict(status: int, body: bytes, headers: Mapping[str, str]) -> Verdict:
    """What an answer means."""
    answer = _json(body)
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        # What names a message is Meta's acceptance; a page of something in between can say 200, too.
        if answer.get("messages"):
            return Verdict(ACCEPTED)
        return Verdict(NO_ANSWER, details=f"HTTP {status} without a message's id")
    error = answer.get("error")
    after = _retry_after(headers)
    if not isinstance(error, dict):
        server_fault = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        rule = _THROUGHPUT if status == HTTPStatus.TOO_MANY_REQUESTS else _UNAVAILABLE if server_fault else _UNKNOWN
        return Verdict(rule, details=f"HTTP {status}", retry_after_seconds=after)
    code, subcode = _integer(error.get("code")), _integer(error.get("error_subcode"))
    return Verdict(_rule(status, code, subcode), code, subcode, _details(error), after)


def _rule(status: int, code: int | None, subcode: int | None) -> Rule:
    if (code, subcode) == NO_SUCH_OBJECT:
        return _ADDRESS
    if code is not None and code in RULES:
        return RULES[code]
    return _UNAVAILABLE if status >= HTTPStatus.INTERNAL_SERVER_ERROR else _UNKNOWN


def _details(error: Mapping[str, Any]) -> str:
    data = error.get("error_data")
    details = data.get("details") if isinstance(data, dict) else None
    return " / ".join(str(part) for part in (error.get("message"), details) if part)[:LONGEST_DETAILS_CHARACTERS]


def _json(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds only; Meta writes no dates, and one that did would find the usual wait."""
    text = headers.get("retry-after", "").strip()
    return float(text) if text.isascii() and text.isdigit() else None
