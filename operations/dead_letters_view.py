"""Dead letters as text for an operator: nothing secret in it, and nothing that plays with the terminal."""

import json
from collections.abc import Sequence
from typing import Any, Final

from operations import text
from operations.text import columns, printable, redacted, redacted_text, safe
from worker.dead_letters import DeadLetter

LONGEST_CELL_CHARS: Final = 60
"""Of a column in the table; ``show`` has the whole."""

LONGEST_SHOWN_CHARS: Final = 20_000
"""Of an element on the screen; ``show --raw`` has the whole."""


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
    try:
        shown = json.dumps(redacted(json.loads(element)), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        shown = redacted_text(element.decode(errors="backslashreplace"))
    if len(shown) > LONGEST_SHOWN_CHARS:
        shown = f"{shown[:LONGEST_SHOWN_CHARS]}\n... ({len(shown)} characters; --raw shows the element whole)"
    return printable(shown)


def readable_beginning(head: bytes, size_bytes: int) -> str:
    """The same for the beginning of an element, which is longer than what is shown."""
    beginning = redacted_text(head.decode(errors="backslashreplace"))
    return printable(f"{beginning[:LONGEST_SHOWN_CHARS]}\n... ({size_bytes} bytes; --raw shows the element whole)")


def table(letters: Sequence[DeadLetter]) -> str:
    """The letters in columns, with a last line that counts them."""
    head = ("ID", "BURIED", "REASON", "BYTES", "SESSION", "REQUEST", "DETAIL")
    return "\n".join([*columns([head, *(row(letter) for letter in letters)]), "", f"{counted(letters)}."])


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


def shortened(cell: str) -> str:
    """At most a cell's width."""
    return cell if len(cell) <= LONGEST_CELL_CHARS else f"{cell[: LONGEST_CELL_CHARS - 3]}..."


def counted(things: Sequence[object]) -> str:
    """``1 dead letter``, ``2 dead letters``."""
    return text.counted(len(things), "dead letter")
