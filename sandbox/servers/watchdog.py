"""Ends the sandbox's servers when the process that started them is gone, however it went (``kill -9`` included).

Run as a program of its own by :mod:`sandbox.servers.processes`. It reads one line per change from standard input::

    watch <pid> <signal number>     from now on this process group belongs to the caller
    forget <pid>                    it was stopped in an orderly way

The kernel closes that pipe when the caller dies. Unlike Linux's parent-death signal this works on every Unix, survives
the change of user that Postgres needs, and does not depend on which thread started the child.
"""

import contextlib
import os
import signal
import sys
import time

STOP_GRACE_SECONDS = 5.0
"""For an orderly end after the caller's death; a server that needs longer is killed, which all of them survive."""

POLL_SECONDS = 0.05
"""Orphans cannot be waited for, only looked at."""


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _is_there(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _read_until_the_caller_is_gone() -> dict[int, int]:
    watched: dict[int, int] = {}
    for line in sys.stdin:
        verb, *numbers = line.split()
        if verb == "watch":
            watched[int(numbers[0])] = int(numbers[1])
        else:
            watched.pop(int(numbers[0]), None)
    return watched


def main() -> None:
    """Watch until the pipe closes, then stop what is left, the youngest first."""
    left = _read_until_the_caller_is_gone()
    for pid, stop_signal in reversed(left.items()):
        _signal_group(pid, stop_signal)
    deadline = time.monotonic() + STOP_GRACE_SECONDS
    while any(_is_there(pid) for pid in left) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for pid in left:
        _signal_group(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
