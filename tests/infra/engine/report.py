"""What a run shows: one line for each proof with its figures, and at the end what was real and what stood in."""

import time
from collections.abc import Iterable, Sequence
from typing import Final

from tests.infra.engine.images import Part

REAL: Final = "real"
STAND_IN: Final = "stand-in"


class Report:
    """Prints as it goes and remembers for the end."""

    def __init__(self) -> None:
        self._began_at = time.monotonic()
        self._lines: list[str] = []

    @property
    def lines(self) -> Sequence[str]:
        """The proofs' lines."""
        return tuple(self._lines)

    def say(self, text: str) -> None:
        """Progress."""
        print(f"{time.monotonic() - self._began_at:6.1f} s  {text}", flush=True)  # noqa: T201 - a person waits for it

    def proved(self, what: str, figures: str, *, stand_ins: Iterable[str]) -> None:
        """One proof; ``stand_ins`` are the services in it that are not the real image."""
        used = ", ".join(stand_ins)
        line = f"{what}: {figures} [{f'{STAND_IN}: {used}' if used else REAL}]"
        self._lines.append(line)
        self.say(f"PROVED {line}")


def table(parts: Iterable[Part]) -> list[str]:
    """What ran, and what it stood for."""
    rows = [(part.name, STAND_IN if part.stands_for else REAL, part.what, part.stands_for) for part in parts]
    head = ("part", "", "what ran", "in place of")
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]
