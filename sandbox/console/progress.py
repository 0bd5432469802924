"""Tells a person what is going on: redrawn in place on a terminal, plain lines everywhere else.

``rich`` decides what the terminal can do (ADR 0045). A terminal that can move its cursor gets a block of lines that is
redrawn while something runs. A pipe, a file, a CI log or ``TERM=dumb`` gets one line per change, and a sign of life
when something takes long. ``NO_COLOR`` is respected.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from typing import IO, Final, TextIO, cast

import rich.console
from rich.live import Live
from rich.text import Text

REDRAWS_PER_SECOND: Final = 10
"""A tenth of a second looks like a running clock."""

LOOK_SECONDS: Final = 0.1
"""Without a terminal: between two looks whether a sign of life is due."""

FIRST_SIGN_SECONDS: Final = 2.0
"""Without a terminal: what takes longer than this says that it is still at it."""

NEXT_SIGN_SECONDS: Final = 10.0
"""And again this often; more would fill a log."""

TITLE_WIDTH: Final = 20
"""Columns for the name of a step."""


class Style(StrEnum):
    """Styles by meaning; the value is a style of ``rich``."""

    PLAIN = "none"
    HEADING = "bold"
    GOOD = "green"
    BAD = "red"
    WARNING = "yellow"


def signs_due(elapsed_seconds: float) -> int:
    """How many signs of life a plain log should hold of something that has run this long."""
    if elapsed_seconds < FIRST_SIGN_SECONDS:
        return 0
    return 1 + int((elapsed_seconds - FIRST_SIGN_SECONDS) // NEXT_SIGN_SECONDS)


class Console:
    """Where the commands of the sandbox write. Safe to use from several threads.

    A reader that goes away (``| head``, a closed terminal) ends the output, not the work.
    """

    def __init__(self, stream: TextIO) -> None:
        self._out = rich.console.Console(file=cast(IO[str], _PatientStream(stream)))
        # Colours may be forced upon a pipe (FORCE_COLOR); a cursor cannot be moved there.
        self._is_live = stream.isatty() and self._out.is_terminal and not self._out.is_dumb_terminal

    def line(self, text: str = "", style: Style = Style.PLAIN) -> None:
        """Write one line that stays, above the block that is being redrawn; the terminal wraps it, nobody else."""
        self._out.out(text, style=style, highlight=False)

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

    def showing(self, render: Callable[[], Sequence[str]]) -> AbstractContextManager[object]:
        """Keep the lines of ``render`` fresh while the body runs; they are gone afterwards."""
        if not self._is_live:
            return self._signs(render)
        return Live(
            console=self._out,
            get_renderable=lambda: Text("\n".join(render()), Style.WARNING, no_wrap=True, overflow="ellipsis"),
            refresh_per_second=REDRAWS_PER_SECOND,
            transient=True,
        )

    @property
    def is_live(self) -> bool:
        """Whether a block is redrawn; if not, whoever follows something reports each change as a line."""
        return self._is_live

    @contextmanager
    def _signs(self, render: Callable[[], Sequence[str]]) -> Iterator[None]:
        ended = threading.Event()
        thread = threading.Thread(target=self._give_signs, args=(render, ended), name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _give_signs(self, render: Callable[[], Sequence[str]], ended: threading.Event) -> None:
        started = time.monotonic()
        given = 0
        while not ended.wait(LOOK_SECONDS):
            due = signs_due(time.monotonic() - started)
            if due > given:
                given = due
                for line in render():
                    self.line(line)


class _PatientStream:
    """A stream that swallows what cannot be written: characters it does not know, and all when its reader is gone.

    ``rich`` would end the program for the one with an error, for the other with exit status 1.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_open = True
        self.encoding: Final = stream.encoding or "ascii"

    def write(self, text: str) -> int:
        if self._is_open:
            self._attempt(lambda: self._stream.write(text.encode(self.encoding, "replace").decode(self.encoding)))
        return len(text)

    def flush(self) -> None:
        if self._is_open:
            self._attempt(self._stream.flush)

    def isatty(self) -> bool:
        return self._stream.isatty()

    def _attempt(self, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError:
            self._is_open = False
            self._discard_the_rest()

    def _discard_the_rest(self) -> None:
        """Python flushes standard output once more at its end and would complain then."""
        if self._stream is sys.stdout:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
