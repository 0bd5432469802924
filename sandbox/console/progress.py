"""Tells a person what is going on: redrawn in place on a terminal, plain lines everywhere else.

A terminal that can move its cursor gets a block of lines that is redrawn while something runs. A pipe, a file, a CI log
or ``TERM=dumb`` gets one line per change, and a sign of life when something takes long.
"""

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Final, TextIO

REDRAW_SECONDS: Final = 0.1
"""A tenth of a second looks like a running clock."""

FIRST_SIGN_SECONDS: Final = 2.0
"""Without a terminal: what takes longer than this says that it is still at it."""

NEXT_SIGN_SECONDS: Final = 10.0
"""And again this often; more would fill a log."""

TITLE_WIDTH: Final = 20
"""Columns for the name of a step."""

_UP_AND_CLEAR: Final = "\x1b[{lines}A\x1b[J"
"""Cursor up, then erase to the end of the screen (ECMA-48: CUU, ED)."""


class Style(Enum):
    """Colours by meaning; the value is the SGR parameter (ECMA-48)."""

    PLAIN = ""
    HEADING = "1"
    GOOD = "32"
    BAD = "31"
    WARNING = "33"


def is_live(*, is_terminal: bool, environment: Mapping[str, str]) -> bool:
    """Whether lines may be redrawn in place."""
    return is_terminal and environment.get("TERM", "dumb") != "dumb"


def has_colour(*, is_terminal: bool, environment: Mapping[str, str]) -> bool:
    """Whether to colour: a capable terminal, and the person did not say ``NO_COLOR`` (no-color.org: any value)."""
    return is_live(is_terminal=is_terminal, environment=environment) and not environment.get("NO_COLOR")


def clip(text: str, columns: int) -> str:
    """``text`` in at most ``columns`` columns; a redrawn line must not wrap, or the cursor loses its place."""
    if len(text) <= columns:
        return text
    return text[: max(0, columns - 3)] + "..."[: max(0, columns)]


def signs_due(elapsed_seconds: float) -> int:
    """How many signs of life a plain log should hold of something that has run this long."""
    if elapsed_seconds < FIRST_SIGN_SECONDS:
        return 0
    return 1 + int((elapsed_seconds - FIRST_SIGN_SECONDS) // NEXT_SIGN_SECONDS)


class Console:
    """Where the commands of the sandbox write. Safe to use from several threads.

    A reader that goes away (``| head``, a closed terminal) ends the output, not the work.
    """

    def __init__(self, stream: TextIO, *, live: bool, colour: bool) -> None:
        self._stream = stream
        self._is_live = live
        self._has_colour = colour
        self._lock = threading.RLock()
        self._block: list[str] = []
        self._is_open = True

    @classmethod
    def of(cls, stream: TextIO, environment: Mapping[str, str] = os.environ) -> "Console":
        """A console that fits ``stream``."""
        is_terminal = stream.isatty()
        return cls(
            stream,
            live=is_live(is_terminal=is_terminal, environment=environment),
            colour=has_colour(is_terminal=is_terminal, environment=environment),
        )

    def line(self, text: str = "", style: Style = Style.PLAIN) -> None:
        """Write one line that stays, above the block that is being redrawn."""
        with self._lock:
            block = self._block
            self._replace_block([])
            self._write(self._painted(text, style) + "\n")
            self._replace_block(block)

    def heading(self, text: str) -> None:
        """An empty line and a line that stands out."""
        self.line()
        self.line(text, Style.HEADING)

    @contextmanager
    def step(self, title: str, done: str = "ready") -> Iterator[None]:
        """Show that ``title`` is under way and for how long; then one line that says ``done`` or ``failed``."""
        started = time.monotonic()

        def line(state: str) -> str:
            return f"  {title:<{TITLE_WIDTH}} {state:<10} {time.monotonic() - started:5.1f} s"

        try:
            with self.showing(lambda: [line("...")]):
                yield
        except Exception:
            self.line(line("failed"), Style.BAD)
            raise
        self.line(line(done), Style.GOOD)

    @contextmanager
    def showing(self, render: Callable[[], Sequence[str]]) -> Iterator[None]:
        """Keep the lines of ``render`` fresh while the body runs; they are gone afterwards."""
        ended = threading.Event()
        target = self._redraw if self._is_live else self._give_signs
        thread = threading.Thread(target=target, args=(render, ended), name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            with self._lock:
                self._replace_block([])

    @property
    def is_live(self) -> bool:
        """Whether a block is redrawn; if not, whoever follows something reports each change as a line."""
        return self._is_live

    def _redraw(self, render: Callable[[], Sequence[str]], ended: threading.Event) -> None:
        while not ended.is_set():
            columns = shutil.get_terminal_size().columns - 1
            lines = [clip(line, columns) for line in render()]
            with self._lock:
                self._replace_block(lines)
            ended.wait(REDRAW_SECONDS)

    def _give_signs(self, render: Callable[[], Sequence[str]], ended: threading.Event) -> None:
        started = time.monotonic()
        given = 0
        while not ended.wait(REDRAW_SECONDS):
            due = signs_due(time.monotonic() - started)
            if due > given:
                given = due
                for line in render():
                    self.line(line)

    def _replace_block(self, lines: list[str]) -> None:
        erase = _UP_AND_CLEAR.format(lines=len(self._block)) if self._block else ""
        self._block = lines
        if erase or lines:
            self._write(erase + "".join(f"{self._painted(line, Style.WARNING)}\n" for line in lines))

    def _painted(self, text: str, style: Style) -> str:
        if not self._has_colour or style is Style.PLAIN or not text:
            return text
        return f"\x1b[{style.value}m{text}\x1b[0m"

    def _write(self, text: str) -> None:
        if not self._is_open:
            return
        encoding = self._stream.encoding or "ascii"
        try:
            self._stream.write(text.encode(encoding, "replace").decode(encoding))
            self._stream.flush()
        except OSError:
            self._is_open = False
            self._discard_the_rest()

    def _discard_the_rest(self) -> None:
        """Python flushes standard output once more at its end and would complain then."""
        if self._stream is sys.stdout:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
