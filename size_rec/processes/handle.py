"""A measuring process, seen from the main process: started, asked, and ended if it does not end by itself."""

import os
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from size_rec.processes.link import MeasuringFailed, Question, Ready, Reply, receive_reply, send_question
from size_rec.vocabulary import MeasurerGone, SizeAdvice

PROJECT_ROOT: Final = Path(__file__).resolve().parents[2]

READY_SECONDS: Final = 60.0
"""Importing and loading take 1 s on an idle core; a process that is not ready after this never will be."""

STUCK_SECONDS: Final = 30
"""No photograph takes this long: the largest takes 1 s, and the caller gives up after 5."""

EXIT_SECONDS: Final = 10.0
"""A process whose link is closed ends after the photograph in its hands, a killed one at once."""

INHERITED: Final = ("PATH", "LANG", "LC_", "LD_", "PYTHON", "OPENBLAS_", "TZ")
"""Beginnings of the environment's names that a measuring process gets: it has no use for the worker's keys."""

MALLOC: Final = {"MALLOC_TRIM_THRESHOLD_": str(64 * 2**20), "MALLOC_MMAP_THRESHOLD_": str(4 * 2**20)}
"""glibc gives the end of the heap back to the kernel whenever it is over 128 KiB, and every photograph needs it again:
keeping it saves 4 % of the processor time for 2 MB. The blocks of a huge photograph are above the second threshold, so
they are given back."""


class Measurer:
    """One measuring process. For one thread at a time, but for :meth:`kill`."""

    def __init__(self) -> None:
        """Start it; it loads the models meanwhile (:meth:`wait_until_ready`).

        Raises:
            OSError: the system starts no process.
        """
        ours, theirs = socket.socketpair()
        for way in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):  # half a message is a hang as well
            ours.setsockopt(socket.SOL_SOCKET, way, struct.pack("ll", STUCK_SECONDS, 0))
        self._link = Connection(ours.detach())
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "size_rec.processes.process", str(theirs.fileno())],
                cwd=PROJECT_ROOT,
                env={name: value for name, value in os.environ.items() if name.startswith(INHERITED)} | MALLOC,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C in a terminal is the main process's to handle
            )

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone, which nobody asked it to be."""
        return self._process.poll() is not None

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Block until it can be asked.

        Raises:
            MeasurerGone: it ended, or was not ready within ``READY_SECONDS``.
            MeasuringFailed: LiteRT, a network or the fitted model is missing or broken.
        """
        match self._next_reply(READY_SECONDS):
            case Ready():
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
        match self._next_reply(STUCK_SECONDS):
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
        try:
            return self._process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        with suppress(subprocess.TimeoutExpired):  # the kernel is stuck; waiting longer helps nobody
            self._process.wait(EXIT_SECONDS)
        return None

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
