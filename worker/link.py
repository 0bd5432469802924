"""What the Celery process tells the main process, over a socket pair.

A closed set of small events, one JSON line each. The link is also the child's lifeline: when the main process has
ended, for whatever reason, reading ends and the child exits, so that no child goes on without its main process.
"""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Final, get_args

import structlog

from models.health import Component
from worker.samples import Sample

EXECUTOR_VARIABLE: Final = "WEARON_EXECUTOR"
"""Of the child's environment: the executor's id."""

ORPHANED_EXIT_CODE: Final = 70
"""EX_SOFTWARE (sysexits.h): the main process is gone."""

READ_BYTES: Final = 65_536

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ExecutorReady:
    """Celery is connected to the broker and takes tasks."""


@dataclass(frozen=True, slots=True)
class DeclaredDead:
    """The database refused a claim because it has declared this executor dead."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A pool thread works on the dispatch."""

    dispatch_id: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The dispatch is done; its in-flight copy is gone."""

    dispatch_id: str


@dataclass(frozen=True, slots=True)
class RunPostponed:
    """Celery will run the dispatch again after the delay (429)."""

    dispatch_id: str
    delay_seconds: float


@dataclass(frozen=True, slots=True)
class RunReturned:
    """The task was not run, and nothing was spent; its in-flight copy is still there, to be dispatched again."""

    dispatch_id: str


@dataclass(frozen=True, slots=True)
class RunBroke:
    """The run ended by an unexpected error; its in-flight copy is still there, and must not be run again."""

    dispatch_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class PartSeen:
    """Whether a component works, as the Celery process sees it; ``reason`` is for the log."""

    component: Component
    up: bool
    reason: str = ""

    def __post_init__(self) -> None:
        # Over the link it comes as a plain string.
        object.__setattr__(self, "component", Component(self.component))


@dataclass(frozen=True, slots=True)
class IntakeHeld:
    """Tasks in a row failed for this reason: stop the intake. An empty reason: resume it."""

    reason: str


Event = (
    ExecutorReady
    | DeclaredDead
    | RunStarted
    | RunFinished
    | RunPostponed
    | RunReturned
    | RunBroke
    | PartSeen
    | IntakeHeld
    | Sample
)

_EVENTS: Final[Mapping[str, type[Event]]] = {kind.__name__: kind for kind in get_args(Event)}


def encode(event: Event) -> bytes:
    """One event as a line."""
    return json.dumps([type(event).__name__, asdict(event)]).encode() + b"\n"


def decode(line: bytes) -> Event:
    """The event of a line."""
    name, content = json.loads(line)
    return _EVENTS[name](**content)


class ChildEnd:
    """The Celery process's end. Safe to use from all pool threads."""

    def __init__(self, file_descriptor: int) -> None:
        self._socket = socket.socket(fileno=file_descriptor)
        self._sending = threading.Lock()

    def send(self, event: Event) -> None:
        """Send an event to the main process; if that has ended, end this process."""
        try:
            with self._sending:
                self._socket.sendall(encode(event))
        except OSError:
            os._exit(ORPHANED_EXIT_CODE)

    def die_with_parent(self) -> None:
        """End this process at once when the main process ends."""
        threading.Thread(target=self._wait_for_the_end, name="lifeline", daemon=True).start()

    def _wait_for_the_end(self) -> None:
        try:
            while self._socket.recv(1):
                pass
        except OSError:
            pass
        os._exit(ORPHANED_EXIT_CODE)


class ParentEnd:
    """The main process's end."""

    def __init__(self, parent: socket.socket) -> None:
        self._socket = parent

    def listen(self, receive: Callable[[Event], None], on_dropped: Callable[[], None]) -> None:
        """Call ``receive`` with each event until the child is gone.

        A line that is no event, or an event that ``receive`` fails on, is a bug: it is logged, and ``on_dropped`` is
        called. The events after it are passed on, because the ends of tasks are among them.
        """
        for line in self._lines():
            try:
                receive(decode(line))
            except Exception:
                log.exception("link_event_dropped", line=line.decode(errors="replace"))
                on_dropped()

    def _lines(self) -> Iterator[bytes]:
        pending = b""
        while True:
            try:
                data = self._socket.recv(READ_BYTES)
            except OSError:
                return
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            yield from lines

    def close(self) -> None:
        """Close the link; a child that still runs then exits."""
        self._socket.close()
