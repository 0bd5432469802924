"""Restarts the parts of a running sandbox that end, as a container's restart policy would."""

import math
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sandbox.console.progress import Console, Style
from sandbox.servers.local_server import LocalServer
from sandbox.servers.processes import StartupFailed
from sandbox.servers.worker import LocalWorker

FIRST_DELAY_SECONDS: Final = 1.0
LONGEST_DELAY_SECONDS: Final = 30.0
"""A worker that cannot start is tried and explained every half minute, and costs little processor time."""

DOUBLINGS_TO_THE_LONGEST: Final = 5
"""Bounds the exponent: 2 to the power of 1024 overflows a float."""

HEALTHY_SECONDS: Final = 30.0
"""A part that ran this long counts as started: its next restart delay is the first one again."""


def restart_delay_seconds(failures: int) -> float:
    """How long to wait before the next start after ``failures`` (at least 1) in a row: 1, 2, 4, ... 30."""
    doublings = min(failures - 1, DOUBLINGS_TO_THE_LONGEST)
    return min(LONGEST_DELAY_SECONDS, math.ldexp(FIRST_DELAY_SECONDS, doublings))


def is_to_be_restarted(*, is_worker: bool, exit_code: int | None) -> bool:
    """Whether to restart a part. A worker that exited with 0 was stopped by somebody, who may want to run their own."""
    return not (is_worker and exit_code == 0)


@dataclass(slots=True)
class _Record:
    """The restarts of one part."""

    started_at: float
    failures: int = 0
    retry_at: float | None = None
    stays_stopped: bool = False


class Keeper:
    """Restarts servers that were running when it was made; ``round`` checks all of them once and never waits."""

    def __init__(self, servers: Sequence[LocalServer], console: Console) -> None:
        self._servers = servers
        self._console = console
        self._records = {server.name: _Record(time.monotonic()) for server in servers}

    def round(self) -> None:
        """Report the parts that ended, and restart those whose delay is over."""
        for server in self._servers:
            record = self._records[server.name]
            if server.is_running or record.stays_stopped:
                continue
            if record.retry_at is None:
                self._note_end(server, record)
            elif time.monotonic() >= record.retry_at:
                self._start(server, record)

    def _note_end(self, server: LocalServer, record: _Record) -> None:
        is_worker = isinstance(server, LocalWorker)
        exit_code = _exit_code_of(server)
        how = "" if exit_code is None else f" with exit code {exit_code}"
        if not is_to_be_restarted(is_worker=is_worker, exit_code=exit_code):
            record.stays_stopped = True
            self._console.line(f"{_now()} {server.name} was stopped{how} and stays stopped.", Style.WARNING)
            return
        if time.monotonic() - record.started_at > HEALTHY_SECONDS:
            record.failures = 0
        self._plan_restart(server, record, f"ended{how}")

    def _plan_restart(self, server: LocalServer, record: _Record, what: str) -> None:
        record.failures += 1
        delay = restart_delay_seconds(record.failures)
        record.retry_at = time.monotonic() + delay
        self._console.line(
            f"{_now()} {server.name} {what}; starting it again in {delay:.0f} s (log: {server.log_path})", Style.BAD
        )

    def _start(self, server: LocalServer, record: _Record) -> None:
        try:
            server.start()
        except StartupFailed as failure:
            self._plan_restart(server, record, f"did not start: {failure.reason}")
        else:
            record.retry_at = None
            record.started_at = time.monotonic()
            self._console.line(f"{_now()} {server.name} runs again.", Style.GOOD)


def _exit_code_of(server: LocalServer) -> int | None:
    """The exit code of a worker that ended; unknown for the other parts."""
    if not isinstance(server, LocalWorker):
        return None
    try:
        return server.wait(timeout_seconds=0)
    except subprocess.TimeoutExpired:
        return None


def _now() -> str:
    return time.strftime("%H:%M:%S")
