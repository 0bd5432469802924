"""[pure] ``--since``: how far an operator looks back."""

import argparse
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

_AGO: Final = re.compile(r"(\d{1,6})\s*(min|h|d|w)")
_UNITS: Final = {
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}

SINCE_HELP: Final = "30min, 24h, 7d, 2w, or a time: 2026-12-01, 2026-12-01T14:30 (UTC unless it says its zone)"


class NotATime(ValueError):
    """It says no time that could be meant."""


def parse_since(text: str, now: datetime) -> datetime:
    """The moment that is meant.

    Raises:
        NotATime: none, or one that is still to come.
    """
    if ago := _AGO.fullmatch(text.strip()):
        return now - int(ago[1]) * _UNITS[ago[2]]
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise NotATime(f"{text!r} is no time. Write {SINCE_HELP}.") from None
    time = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    if time > now:
        raise NotATime(f"{text!r} is still to come.")
    return time


def add_since(parser: argparse.ArgumentParser, default: str, now: Callable[[], datetime] | None = None) -> None:
    """Give a command the option."""

    def since(text: str) -> datetime:
        try:
            return parse_since(text, (now or _now)())
        except (NotATime, OverflowError) as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    parser.add_argument(
        "--since", type=since, default=default, metavar="TIME", help=f"{SINCE_HELP}; if left out: {default}"
    )


def _now() -> datetime:
    return datetime.now(UTC)
