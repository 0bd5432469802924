"""A measuring process, seen from the main process: started, asked, and ended if it does not end by itself."""

import socket
import struct
from multiprocessing.connection import Connection
from typing import Final

from size_rec.processes.fork_server import ForkServer
from size_rec.processes.link import MeasuringFailed, Question, Ready, Reply, receive_reply, send_question
from size_rec.vocabulary import MeasurerGone, SizeAdvice

READY_SECONDS: Final = 60.0
"""Importing and loading take 1 s on an idle core; a process that is not ready after this never will be."""

STUCK_SECONDS: Final = 30
"""No photograph takes this long: the largest takes 1 s, and the caller gives up after 5."""

EXIT_SECONDS: Final = 10.0
"""A process whose link is closed ends after the photograph in its hands, a killed one at once."""


class Measurer:
    """One measuring process. For one thread at a time, but for :meth:`kill`."""

    def __init__(
        self, server: ForkServer, *, ready_seconds: float = READY_SECONDS, stuck_seconds: int = STUCK_SECONDS
    ) -> None:
        """Have it forked as soon as the server has loaded the models (:meth:`wait_until_ready`).

        Args:
            server: what it is forked from.
            ready_seconds: how long it may load; other values in tests only.
            stuck_seconds: how long it may take for one photograph, and for the rest of a message; other values in tests
                only.

        Raises:
            OSError: the system starts no process.
        """
        self._ready_seconds = ready_seconds
        self._stuck_seconds = stuck_seconds
        ours, theirs = socket.socketpair()
        for way in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):  # half a message is a hang as well
            ours.setsockopt(socket.SOL_SOCKET, way, struct.pack("ll", stuck_seconds, 0))
        self._link = Connection(ours.detach())
        with theirs:
            self._process = server.fork(theirs)

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone, which nobody asked it to be."""
        return self._process.ends_within(0)

    @property
    def pid(self) -> int:
        """The process's id.

        Raises:
            LookupError: it is not there yet.
        """
        if self._process.pid is None:
            raise LookupError("the process is not forked yet")
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Block until it can be asked.

        Raises:
            MeasurerGone: it ended, or was not ready in time.
            MeasuringFailed: LiteRT, a network or the fitted model is missing or broken.
        """
        match self._next_reply(self._ready_seconds):
            case Ready():
                self._process.learn_pid()
                return
            case MeasuringFailed() as failure:
                raise failure
            case _:
                raise MeasurerGone(self.end())

    def measure(self, question: Question) -> SizeAdvice:
        """Block until the photograph is measured.

        Raises:
            NotAnImage, IncompletePicture, ImageTooLarge: as :func:`size_rec.photo.picture.prepare_picture`.
            PictureRefused: as :func:`size_rec.measuring.measure_picture`.
            MeasuringFailed: a fault of ours; the process goes on.
            MeasurerGone: the process ended or hangs.
        """
        try:
            send_question(self._link, question)
        except OSError:
            raise MeasurerGone(self.end()) from None
        match self._next_reply(self._stuck_seconds):
            case SizeAdvice() as advice:
                return advice
            case Exception() as failure:
                raise failure
            case _:
                raise MeasurerGone(self.end())

    def kill(self) -> None:
        """End it at once; whoever waits for it gets ``MeasurerGone``. From any thread."""
        self._process.kill()

    def end(self) -> int | None:
        """Let it finish the photograph in its hands and end; return the exit code, ``None`` if it had to be killed."""
        self._link.close()
        ended = self._process.ends_within(EXIT_SECONDS)
        if not ended:
            self._process.kill()
            self._process.ends_within(EXIT_SECONDS)  # the kernel is stuck if not; waiting longer helps nobody
        self._process.close()
        return self._process.exit_code if ended else None

    def _next_reply(self, timeout_seconds: float) -> Reply:
        try:
            if self._link.poll(timeout_seconds):
                return receive_reply(self._link)
        except EOFError:
            raise MeasurerGone(self.end()) from None
        except Exception:  # half a reply, or nonsense: nobody knows what it would say next
            self.kill()
            raise MeasurerGone(self.end()) from None
        self.kill()
        self.end()
        raise MeasurerGone(None)
