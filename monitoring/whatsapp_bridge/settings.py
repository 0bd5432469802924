"""The bridge's settings, from the environment; ``docs/whatsapp.md`` says where each is to be had.

A host may not have WhatsApp yet, and its stack has to start all the same. So a setting that is missing or wrong is no
reason to end: it is a fault that the log, ``/health`` and a metric tell, while messages wait in the queue.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

DEFAULT_API_VERSION: Final = "v26.0"
DEFAULT_API_BASE_URL: Final = "https://graph.facebook.com"
DEFAULT_QUEUE_PATH: Final = "/var/lib/whatsapp-bridge/queue.sqlite3"
DEFAULT_TEMPLATE_NAME: Final = "worker_alert"
DEFAULT_TEMPLATE_LANGUAGE: Final = "en"

PLACEHOLDERS: Final = ("your-", "change-me")
"""How ``.env.example`` begins what has to be filled in."""

NUMBER: Final = re.compile(r"\+[1-9][0-9]{7,14}")
"""E.164 with the plus, so that nobody has to guess whether the country code is there."""

SHOWN_DIGITS: Final = 3
"""Of a number in a log line: enough to tell a team's numbers apart."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the bridge works with."""

    access_token: str = field(repr=False)
    phone_number_id: str
    recipients: tuple[str, ...] = field(repr=False)
    template_name: str
    template_language: str
    api_version: str
    api_base_url: str
    webhook_secret: str = field(repr=False)
    queue_path: Path
    faults: tuple[str, ...]
    """What is missing or wrong, each in words that name the variable and where its value is to be had."""

    @property
    def can_send(self) -> bool:
        """Whether everything for Meta is there."""
        return not self.faults

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must stand in no log line."""
        return tuple(filter(None, (self.access_token, self.webhook_secret)))


@dataclass(frozen=True, slots=True)
class _Rule:
    good: Callable[[str], object]
    where: str
    default: str = ""


def _is_list_of_numbers(text: str) -> bool:
    return all(NUMBER.fullmatch(part.strip()) for part in text.split(","))


RULES: Final[Mapping[str, _Rule]] = {
    "WHATSAPP_ACCESS_TOKEN": _Rule(
        re.compile(r"[\x21-\x7e]+").fullmatch,
        "a system user's token with the permission whatsapp_business_messaging: Meta, business settings, system users",
    ),
    "WHATSAPP_PHONE_NUMBER_ID": _Rule(
        re.compile(r"[0-9]+").fullmatch,
        "the id of the sending number, digits only and not the number itself: WhatsApp Manager, phone numbers",
    ),
    "WHATSAPP_RECIPIENTS": _Rule(
        _is_list_of_numbers, "who gets the alerts: numbers with + and country code, comma-separated, as +4915112345678"
    ),
    "WHATSAPP_TEMPLATE_NAME": _Rule(
        re.compile(r"[a-z0-9_]{1,512}").fullmatch,
        "the approved template's name, lower case, digits and _: WhatsApp Manager, message templates",
        DEFAULT_TEMPLATE_NAME,
    ),
    "WHATSAPP_TEMPLATE_LANGUAGE": _Rule(
        re.compile(r"[a-z]{2,3}(_[A-Z]{2,3})?").fullmatch,
        "the code of the template's language, as en or pt_BR: WhatsApp Manager, message templates",
        DEFAULT_TEMPLATE_LANGUAGE,
    ),
    "WHATSAPP_API_VERSION": _Rule(
        re.compile(r"v[0-9]{1,3}\.[0-9]").fullmatch, "a version of the Graph API, as v26.0", DEFAULT_API_VERSION
    ),
    "WHATSAPP_API_BASE_URL": _Rule(
        re.compile(r"https?://[^/?#\s]+").fullmatch, "an address without a path", DEFAULT_API_BASE_URL
    ),
    "WHATSAPP_WEBHOOK_SECRET": _Rule(
        re.compile(r"[\x21-\x7e]{16,}").fullmatch,
        "what Grafana signs its webhook with, 16 characters or more: scripts/deploy.sh makes it",
    ),
    "WHATSAPP_QUEUE_PATH": _Rule(str, "a file on a volume", DEFAULT_QUEUE_PATH),
}


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings, with what is wrong in them."""
    values: dict[str, str] = {}
    faults: list[str] = []
    for name, rule in RULES.items():
        value = environ.get(name, "").strip() or rule.default
        if not value or value.startswith(PLACEHOLDERS):
            faults.append(f"{name} is missing: {rule.where}")
            value = ""
        elif not rule.good(value):
            faults.append(f"{name} is wrong: {rule.where}")
            value = ""
        values[name.removeprefix("WHATSAPP_").lower()] = value
    recipients = dict.fromkeys(part.strip() for part in values["recipients"].split(",") if part.strip())
    return Settings(
        access_token=values["access_token"],
        phone_number_id=values["phone_number_id"],
        recipients=tuple(recipients),
        template_name=values["template_name"],
        template_language=values["template_language"],
        api_version=values["api_version"],
        api_base_url=values["api_base_url"],
        webhook_secret=values["webhook_secret"],
        queue_path=Path(values["queue_path"]),
        faults=tuple(faults),
    )


def masked(number: str) -> str:
    """A telephone number for a log line: ``+491***678``."""
    return f"{number[: SHOWN_DIGITS + 1]}***{number[-SHOWN_DIGITS:]}" if number else "nobody yet"
