"""Dead letters as text for an operator: nothing secret in it, and nothing that plays with the terminal."""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from config.logging_config import REDACTED, Redactor
from worker.dead_letters import DeadLetter

LONGEST_CELL_CHARS: Final = 60
"""Of a column in the table; ``show`` has the whole."""

LONGEST_SHOWN_CHARS: Final = 20_000
"""Of an element on the screen; ``show --raw`` has the whole."""

ANY_QUERY: Final = re.compile(r"(?i)(?:\?|\\u003f|%3f)[^\s\"'<>]+")
"""What may be the query of a signed URL, even in broken JSON: here it is better to hide too much."""


def summary(letter: DeadLetter) -> dict[str, Any]:
    """All of a letter but the element, with nothing secret in it."""
    return {
        "id": letter.letter_id,
        "buried_at": letter.buried_at,
        "reason": letter.reason,
        "detail": safe(letter.detail),
        "session_ids": list(letter.session_ids),
        "request_id": None if letter.request_id is None else safe(letter.request_id),
        "size_bytes": letter.size_bytes,
    }


def readable_element(element: bytes) -> str:
    """An element for the screen: laid out when it is JSON, without signatures, secrets and control characters."""
    text = element.decode(errors="backslashreplace")
    try:
        text = json.dumps(redacted(json.loads(element)), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = redacted_text(text)
    if len(text) > LONGEST_SHOWN_CHARS:
        text = f"{text[:LONGEST_SHOWN_CHARS]}\n... ({len(text)} characters; --raw shows the element whole)"
    return printable(text)


def readable_beginning(head: bytes, size_bytes: int) -> str:
    """The same for the beginning of an element, which is longer than what is shown."""
    text = redacted_text(head.decode(errors="backslashreplace"))
    return printable(f"{text[:LONGEST_SHOWN_CHARS]}\n... ({size_bytes} bytes; --raw shows the element whole)")


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


def table(letters: Sequence[DeadLetter]) -> str:
    """The letters in columns, with a last line that counts them."""
    head = ("ID", "BURIED", "REASON", "BYTES", "SESSION", "REQUEST", "DETAIL")
    rows = [head, *(row(letter) for letter in letters)]
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in rows]
    return "\n".join([*lines, "", f"{counted(letters)}."])


def row(letter: DeadLetter) -> tuple[str, ...]:
    """A letter's cells."""
    cells = (
        letter.letter_id,
        letter.buried_at,
        letter.reason,
        str(letter.size_bytes),
        ", ".join(letter.session_ids) or "-",
        letter.request_id or "-",
        letter.detail,
    )
    return tuple(shortened(safe(cell)) for cell in cells)


def shortened(text: str) -> str:
    """At most a cell's width."""
    return text if len(text) <= LONGEST_CELL_CHARS else f"{text[: LONGEST_CELL_CHARS - 3]}..."


def counted(things: Sequence[object]) -> str:
    """``1 dead letter``, ``2 dead letters``."""
    return f"{len(things)} dead letter{'' if len(things) == 1 else 's'}"
