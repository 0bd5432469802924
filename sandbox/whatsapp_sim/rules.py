"""[pure] What the Cloud API refuses, in the order in which it looks.

Sources: developers.facebook.com, WhatsApp Cloud API (messages, template messages, error codes, throughput, pair rate
limits), and what public issue trackers show of real answers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

TEMPLATE_TEXT: Final = """\
WearOn alert: {{1}}
Host: {{2}}
What happens: {{3}}
What to do: {{4}}
This message was sent by the monitoring of your WearOn worker. Nobody reads the answers to it."""
"""As docs/whatsapp.md has it approved; a test compares the two."""

LONGEST_BODY_CHARACTERS: Final = 1024
SPACES_REFUSED: Final = 5
"""More than four in a row."""

RECIPIENT: Final = re.compile(r"\+?[1-9][0-9]{7,14}")
PLACEHOLDER: Final = re.compile(r"\{\{(\d+)\}\}")
VERSION: Final = re.compile(r"v(\d+)\.0")

STATUS: Final[Mapping[int, int]] = {
    190: 401,
    10: 403,
    130429: 429,
    131056: 429,
    80007: 429,
    4: 429,
    131000: 500,
    131016: 503,
    1: 500,
    2: 503,
    132001: 404,
}
"""HTTP status by code; all others are 400."""

MESSAGES: Final[Mapping[int, str]] = {
    100: "Invalid parameter",
    190: "Error validating access token: The session has expired",
    2500: "Unknown path components",
    4: "Application request limit reached",
    130429: "Rate limit hit",
    131000: "Something went wrong",
    131009: "Parameter value is not valid",
    131026: "Message undeliverable",
    131042: "Business eligibility payment issue",
    131047: "Re-engagement message",
    131056: "(Business Account, Consumer Account) pair rate limit hit",
    132000: "Number of parameters does not match the expected number of params",
    132001: "Template name does not exist in the translation",
    132005: "Translated text too long",
    132015: "Template is paused",
    132018: "There's an issue with the parameters in your template",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error of Meta's."""

    code: int
    details: str
    subcode: int | None = None
    retry_after_seconds: int | None = None

    @property
    def status(self) -> int:
        """Of the HTTP answer."""
        return STATUS.get(self.code, 400)

    def body(self) -> dict[str, Any]:
        """As Meta writes it."""
        message = f"(#{self.code}) {MESSAGES.get(self.code, 'Error')}"
        error: dict[str, Any] = {"message": message, "type": "OAuthException", "code": self.code}
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        error["error_data"] = {"messaging_product": "whatsapp", "details": self.details}
        return {"error": {**error, "fbtrace_id": "AStandInsTrace"}}


@dataclass(frozen=True, slots=True)
class Account:
    """What is set up at Meta."""

    token: str
    phone_number_id: str
    template: str
    language: str
    template_text: str
    oldest_version: int = 21
    newest_version: int = 26


def refuse_call(account: Account, *, path: str, authorization: str) -> Refusal | None:
    """What is wrong with the address or the token; they are looked at before the body."""
    parts = path.strip("/").split("/")
    version = VERSION.fullmatch(parts[0])
    if version is None or int(version[1]) > account.newest_version or parts[2:] != ["messages"]:
        return Refusal(2500, f"Unknown path components: {path}")
    if int(version[1]) < account.oldest_version:
        return Refusal(2635, f"You are calling a deprecated version of the API: {parts[0]}")
    if authorization != f"Bearer {account.token}":
        return Refusal(190, "Error validating access token", 463 if authorization else None)
    if parts[1] != account.phone_number_id:
        details = f"Unsupported post request. Object with ID '{parts[1]}' does not exist or cannot be loaded"
        return Refusal(100, details, 33)
    return None


def refuse_body(account: Account, body: Mapping[str, Any], *, window_is_open: bool) -> Refusal | None:
    """What is wrong with a message."""
    if body.get("messaging_product") != "whatsapp":
        return Refusal(100, "The parameter messaging_product is required.")
    if not isinstance(body.get("to"), str) or not RECIPIENT.fullmatch(body["to"]):
        return Refusal(131009, "Parameter 'to' is not a valid phone number")
    if body.get("recipient_type", "individual") != "individual":
        return Refusal(100, "recipient_type must be individual")
    kind = body.get("type", "text")
    if kind == "text":
        return _refuse_text(body.get("text"), window_is_open=window_is_open)
    if kind != "template" or not isinstance(body.get("template"), dict):
        return Refusal(100, "Unexpected type, or the object that belongs to it is missing")
    return _refuse_template(account, body["template"])


def filled_in(template_text: str, parameters: list[str]) -> str:
    """The message that the recipient reads."""
    return PLACEHOLDER.sub(lambda found: parameters[int(found[1]) - 1], template_text)


def parameters_of(template: Mapping[str, Any]) -> list[str] | None:
    """The texts of the body's parameters; None when their shape is wrong."""
    components = template.get("components", [])
    if not isinstance(components, list):
        return None
    bodies = [part for part in components if isinstance(part, dict) and part.get("type") == "body"]
    if len(bodies) != len(components) or len(bodies) > 1:
        return None
    parameters = bodies[0].get("parameters", []) if bodies else []
    texts = [part.get("text") for part in parameters if isinstance(part, dict) and part.get("type") == "text"]
    good = len(texts) == len(parameters) and all(isinstance(text, str) for text in texts)
    return [str(text) for text in texts] if good else None


def _refuse_text(text: object, *, window_is_open: bool) -> Refusal | None:
    if not isinstance(text, dict) or not text.get("body"):
        return Refusal(100, "The parameter text['body'] is required.")
    if not window_is_open:
        return Refusal(131047, "More than 24 hours have passed since the recipient last replied to the sender number.")
    return None


def _refuse_template(account: Account, template: Mapping[str, Any]) -> Refusal | None:
    language = template.get("language")
    code = language.get("code") if isinstance(language, dict) else None
    if (template.get("name"), code) != (account.template, account.language):
        return Refusal(132001, f"template name ({template.get('name')}) does not exist in {code}")
    parameters = parameters_of(template)
    if parameters is None:
        return Refusal(100, "Unexpected key or type in template['components']")
    expected = len(set(PLACEHOLDER.findall(account.template_text)))
    if len(parameters) != expected:
        details = f"body: number of localizable_params ({len(parameters)}) does not match the expected ({expected})"
        return Refusal(132000, details)
    return _refuse_parameters(account, parameters)


def _refuse_parameters(account: Account, parameters: list[str]) -> Refusal | None:
    for text in parameters:
        if not text:
            return Refusal(100, "The parameter text is required and cannot be empty")
        if re.search(rf"[\n\r\t]| {{{SPACES_REFUSED},}}", text):
            details = "Param text cannot have new-line/tab characters or more than 4 consecutive spaces"
            return Refusal(132018, details)
    if len(filled_in(account.template_text, parameters)) > LONGEST_BODY_CHARACTERS:
        return Refusal(132005, f"Translated text too long: more than {LONGEST_BODY_CHARACTERS} characters")
    return None
