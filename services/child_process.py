"""A child process of the worker: started with a link and few variables, ended for certain (ADR 0040).

The child is a module of ours, run by ``python -m``. It gets one end of a socket pair, its *link*, over which it talks
with the main process in a way of its own, and which tells it by its end that the main process is gone. It gets no
variable that is not in ``INHERITED``: keys and addresses are handed over, or not at all (ADR 0024).
"""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

PROJECT_ROOT: Final = Path(__file__).resolve().parent.parent

LINK_VARIABLE: Final = "WEARON_LINK_FD"
"""Of the child's environment: the descriptor of its end of the link."""

INHERITED: Final = (
    *("PATH", "HOME", "TMPDIR"),
    *("LANG", "LC_", "TZ"),
    *("LD_", "PYTHON", "MALLOC_", "OPENBLAS_"),
    *("SSL_CERT_",),  # where a system keeps whom it trusts
)
"""Beginnings of the names of variables that every child gets from the environment."""

KILL_WAIT_SECONDS: Final = 10.0
"""A killed process is gone at once; more means the kernel is stuck."""


class ChildProcess:
    """One child. For one thread at a time, but for :meth:`terminate` and :meth:`kill`."""

    def __init__(self, module: str, variables: Mapping[str, str], *, piped: bool = False) -> None:
        """Start it.

        Args:
            module: what it runs.
            variables: of its environment, beside and before the inherited ones.
            piped: whether ``stdin`` and ``stderr`` are pipes of ours; else it reads nothing and writes where we do.

        Raises:
            OSError: the system starts no process.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", module],
                    env={**environment_of_child(os.environ), **variables, LINK_VARIABLE: str(theirs.fileno())},
                    stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                    stderr=subprocess.PIPE if piped else None,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl-C in a terminal is the main process's to handle
                )
            except BaseException:
                ours.close()
                raise
        self.link = ours
        """Our end."""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def stdin(self) -> IO[bytes] | None:
        """Where we write to it, if so asked for."""
        return self._process.stdin

    @property
    def stderr(self) -> IO[bytes] | None:
        """What it prints, if so asked for."""
        return self._process.stderr

    def has_ended(self) -> bool:
        """Whether it is gone."""
        return self._process.poll() is not None

    def ends_within(self, seconds: float) -> bool:
        """Whether it is gone, or is so within this time."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self.has_ended()

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        self._process.terminate()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._process.kill()

    def kill_and_wait(self) -> None:
        """End it at once and wait until it is gone.

        Raises:
            subprocess.TimeoutExpired: the kernel is stuck, and it may still be at work.
        """
        self.kill()
        self._process.wait(KILL_WAIT_SECONDS)


def environment_of_child(ours: Mapping[str, str]) -> dict[str, str]:
    """[pure] What a child gets of our environment; it finds our modules whichever folder it runs in."""
    inherited = {name: value for name, value in ours.items() if name.startswith(INHERITED)}
    search_path = os.pathsep.join(filter(None, [str(PROJECT_ROOT), ours.get("PYTHONPATH")]))
    return inherited | {"PYTHONPATH": search_path}


def inherited_link() -> socket.socket:
    """For the child: its end of the link."""
    return socket.socket(fileno=int(os.environ[LINK_VARIABLE]))
