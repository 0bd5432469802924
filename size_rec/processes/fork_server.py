"""The process that has loaded the models, seen from the main process: measuring processes are forked from it.

So the models are in memory once, however many processes measure, and a process that is started again is ready in
milliseconds (ADR 0040). The other side is ``size_rec/processes/process.py``.
"""

import os
import signal
import socket
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Final

from services.child_process import ChildProcess

MALLOC: Final = {"MALLOC_TRIM_THRESHOLD_": str(64 * 2**20), "MALLOC_MMAP_THRESHOLD_": str(4 * 2**20)}
"""glibc gives the end of the heap back to the kernel whenever it is over 128 KiB, and every photograph needs it again:
keeping it saves 4 % of the processor time for 2 MB. The blocks of a huge photograph are above the second threshold, so
they are given back."""

EXIT_SECONDS: Final = 10.0
"""A fork server whose link is closed ends at once, unless it still loads."""

FORK: Final = b"fork"
"""The request; with it go the new process's end of its link and the pipe for reports on it."""


STARTED: Final = b"started"
ENDED: Final = b"ended"
"""The two reports: the process's own, with its id, before anything else; the server's, with the exit code."""


class ForkServer:
    """Started with the first process that is asked for, and again after it ended. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: ChildProcess | None = None

    @property
    def pid(self) -> int | None:
        """The server's own process id, once it was started."""
        return self._child.pid if self._child else None

    def fork(self, link: socket.socket) -> "ForkedProcess":
        """Ask for a process that has this end of a link; it is there when the models are loaded.

        Raises:
            OSError: the system starts no process, or the server has just ended.
        """
        with self._lock:
            child = self._running()
            reader, writer = os.pipe()
            reports = Connection(reader, writable=False)
            try:
                socket.send_fds(child.link, [FORK], [link.fileno(), writer])
            except OSError:
                reports.close()
                child.kill()  # its link is broken: the next call starts another
                raise
            finally:
                os.close(writer)
            return ForkedProcess(child, reports)

    def close(self) -> None:
        """End the server; the processes forked from it end with their own links."""
        with self._lock:
            if self._child:
                self._child.link.close()
                if not self._child.ends_within(EXIT_SECONDS):
                    self._child.kill()
                    self._child.ends_within(EXIT_SECONDS)  # the kernel is stuck if not; waiting longer helps nobody

    def _running(self) -> ChildProcess:
        if self._child is None or self._child.has_ended():
            if self._child:
                self._child.link.close()
            self._child = ChildProcess("size_rec.processes.process", MALLOC)
        return self._child


class ForkedProcess:
    """A process forked from the server, which alone can tell how it ended. For one thread, but for :meth:`kill`."""

    def __init__(self, server: ChildProcess, reports: Connection) -> None:
        self._server = server
        self._reports = reports
        self._listening = threading.Lock()
        self._over = False
        self.pid: int | None = None
        """Its process id; ``None`` before it is there."""
        self.exit_code: int | None = None
        """Negative for a signal; ``None`` while it runs, and when nobody told."""

    def ends_within(self, seconds: float) -> bool:
        """Whether it is gone within this time, or the server is, which would have told."""
        with self._listening:
            while not self._over and self._reports.poll(seconds):
                self._take_in_report()
        return self._over

    def learn_pid(self) -> None:
        """Take in that it is there, which it has reported before anything else."""
        self.ends_within(0)

    def kill(self) -> None:
        """End it at once; while it is not there yet, the server that loads for it."""
        if self.pid is None:
            self._server.kill()
        elif self.exit_code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Listen no more."""
        with self._listening:
            self._over = True
            self._reports.close()

    def _take_in_report(self) -> None:
        try:
            kind, number = self._reports.recv_bytes().split()
        except EOFError:
            self._over = True
            return
        if kind == STARTED:
            self.pid = int(number)
        else:
            self.exit_code, self._over = int(number), True
