"""Text for an operator's screen: nothing secret in it, nothing that plays with the terminal."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final
from uuid import UUID

from config.logging_config import REDACTED, Redactor

ANY_QUERY: Final = re.compile(r"(?i)(?:\?|\\u003f|%3f)[^\s\"'<>]+")
"""What may be the query of a signed URL, even in broken JSON: here it is better to hide too much."""

SECONDS_PER_MINUTE: Final = 60
SECONDS_PER_HOUR: Final = 3_600
SECONDS_PER_DAY: Final = 86_400

SHORT_ID_DIGITS: Final = 8
"""Of an executor's id on the screen; the logs have the whole."""

LABEL_COLUMNS: Final = 14
"""Width of the names in front of the lines."""

WRAPPED_CHARS: Final = 100
"""Of a sentence, in one line: an id and a command fit in, and with its name it fits a usual terminal."""


class Tone(Enum):
    """Colours by meaning; the value is the SGR parameter (ECMA-48)."""

    HEADING = "1"
    FAINT = "2"
    BAD = "31"
    GOOD = "32"
    WARNING = "33"


@dataclass(frozen=True, slots=True)
class Paint:
    """Colours text, or leaves it as it is."""

    has_colour: bool = False

    @classmethod
    def chosen(cls, *, is_terminal: bool, environment: Mapping[str, str]) -> "Paint":
        """Colours on a capable terminal, unless the person said ``NO_COLOR`` (no-color.org: any value)."""
        capable = is_terminal and environment.get("TERM", "dumb") != "dumb"
        return cls(capable and not environment.get("NO_COLOR"))

    def __call__(self, text: str, tone: Tone | None) -> str:
        if not self.has_colour or tone is None or not text:
            return text
        return f"\x1b[{tone.value}m{text}\x1b[0m"


PLAIN: Final = Paint()


def labelled(paint: Paint, label: str, text: str, tone: Tone | None = None) -> str:
    """A line ``label   text``; with an empty label it continues the one above."""
    return f"{paint(label.ljust(LABEL_COLUMNS), Tone.HEADING)}{paint(text, tone)}".rstrip()


def wrapped(paint: Paint, label: str, text: str, tone: Tone | None = None) -> list[str]:
    """The same for a sentence that may be long: as many lines as it takes."""
    first, *others = textwrap.wrap(text, WRAPPED_CHARS) or [""]
    return [labelled(paint, label, first, tone), *(labelled(paint, "", line, tone) for line in others)]


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines in columns, as wide as their widest cell."""
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in rows]


def counted(number: int, thing: str) -> str:
    """``1 picture``, ``2 pictures``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """A time as people say it: ``4.2 s``, ``42 s``, ``5 min``, ``3 h``, ``2 days``."""
    seconds = max(seconds, 0.0)
    if seconds < 10:  # noqa: PLR2004 - where a tenth stops to matter
        return f"{seconds:.1f} s"
    if seconds < 2 * SECONDS_PER_MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * SECONDS_PER_HOUR:
        return f"{seconds / SECONDS_PER_MINUTE:.0f} min"
    if seconds < 2 * SECONDS_PER_DAY:
        return f"{seconds / SECONDS_PER_HOUR:.0f} h"
    return f"{seconds / SECONDS_PER_DAY:.0f} days"


def moment(time: datetime) -> str:
    """A time in UTC, to the second."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def short(executor: UUID) -> str:
    """An executor's id as the screen has it."""
    return str(executor)[:SHORT_ID_DIGITS]


def redacted(value: Any) -> Any:
    """A JSON value without anything secret."""
    if isinstance(value, str):
        return redacted_text(value)
    if isinstance(value, list):
        return [redacted(item) for item in value]
    if isinstance(value, dict):
        return {redacted_text(name): redacted(item) for name, item in value.items()}
    return value


def redacted_text(text: str) -> str:
    """A text without queries of URLs, credentials and keys."""
    return Redactor().clean_text(ANY_QUERY.sub(f"?{REDACTED}", text))


def printable(text: str) -> str:
    """A text that can do nothing to a terminal: control and direction characters are spelled out."""
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode() for char in text
    )


def safe(text: str) -> str:
    """One line without anything secret."""
    return printable(redacted_text(text)).replace("\n", "\\n")
