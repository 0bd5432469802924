"""Child processes of the sandbox: start one, wait until it serves, stop it, kill it, never leave one behind."""

import atexit
import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from sandbox.pauses import Pauses

LOOPBACK = "127.0.0.1"

PORTS = range(10_000, 32_768)
"""Above what well-known services use, below what Linux (32768) and macOS (49152) give to outgoing connections."""

READY_TIMEOUT_SECONDS = 60.0
"""Every server is ready within 2 s on an idle machine; a loaded one gets plenty before we give up."""

STOP_TIMEOUT_SECONDS = 10.0
"""For an orderly stop; afterwards the process tree is killed."""

LOG_TAIL_LINES = 15
"""Of a server's log in the message of a failed start."""


class StartupFailed(Exception):
    """A part of the sandbox did not come up. ``log_tail`` is the end of what it wrote."""

    def __init__(self, name: str, reason: str, *, log_path: Path | None = None) -> None:
        self.name = name
        self.reason = reason
        self.log_tail = tail_of(log_path) if log_path is not None else ""
        message = f"{name} did not start: {reason}"
        if log_path is not None:
            message += f"\nThe end of its log ({log_path}):\n{self.log_tail}"
        super().__init__(message)


def tail_of(path: Path, lines: int = LOG_TAIL_LINES) -> str:
    """The last ``lines`` lines of a text file; empty if there is none."""
    if not path.exists():
        return ""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def free_port() -> int:
    """A TCP port on loopback that nobody listens on, and that no outgoing connection is given.

    A server that is down for a moment must find its port again, also while other tests run beside it.
    """
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port


def wheel_directory(package: str) -> Path:
    """Where an installed package has its files, found without importing it.

    Raises ``StartupFailed`` when it is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise StartupFailed(package, "the package is not installed; run `make install`")
    return Path(spec.submodule_search_locations[0])


class _Watchdog:
    """The one helper process that outlives this one and ends what it started (``sandbox/servers/watchdog.py``)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        # A forked copy of this process must not hold the pipe open after the original died.
        os.register_at_fork(after_in_child=self._forget_everything)

    def _forget_everything(self) -> None:
        self._lock = threading.Lock()
        if self._process is not None and self._process.stdin is not None:
            os.close(self._process.stdin.fileno())
        self._process = None

    def _tell(self, line: str) -> None:
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                program = Path(__file__).with_name("watchdog.py")
                self._process = subprocess.Popen(
                    [sys.executable, "-I", program], stdin=subprocess.PIPE, text=True, start_new_session=True
                )
                atexit.register(self._close, self._process)
            pipe = self._process.stdin
            if pipe is None:
                raise AssertionError("opened with stdin=PIPE")
            pipe.write(line)
            pipe.flush()

    @staticmethod
    def _close(process: subprocess.Popen[str]) -> None:
        if process.stdin is not None:
            process.stdin.close()
        process.wait()

    def watch(self, pid: int, stop_signal: int) -> None:
        self._tell(f"watch {pid} {int(stop_signal)}\n")

    def forget(self, pid: int) -> None:
        self._tell(f"forget {pid}\n")


_watchdog = _Watchdog()


class ChildProcess:
    """One running program in a session of its own, so that a Ctrl-C in the terminal reaches only us."""

    def __init__(self, process: subprocess.Popen[bytes], *, stop_signal: int, log_path: Path) -> None:
        self._process = process
        self._stop_signal = stop_signal
        self.log_path = log_path

    @property
    def pid(self) -> int:
        """Process id; also the id of its process group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """``None`` while it runs; negative: the signal that ended it."""
        return self._process.poll()

    @property
    def is_running(self) -> bool:
        """Whether the program has not ended yet."""
        return self.exit_code is None

    def wait(self, timeout_seconds: float) -> int:
        """Wait for the end and return the exit code; raises ``subprocess.TimeoutExpired``."""
        exit_code = self._process.wait(timeout_seconds)
        _watchdog.forget(self.pid)
        return exit_code

    def stop(self, timeout_seconds: float = STOP_TIMEOUT_SECONDS) -> int:
        """Ask it to end, wait, kill it if it does not. Returns the exit code."""
        if self.is_running:
            os.kill(self.pid, self._stop_signal)
            self.resume()  # a paused one would never see the signal
        try:
            return self.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """SIGKILL to it and to all it started, as when the power fails. Returns the exit code when all are gone."""
        tree = self._frozen_tree()
        for process in tree:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        exit_code = self.wait(STOP_TIMEOUT_SECONDS)
        # A database refuses to start while a process of its former life still holds the shared memory.
        pauses = Pauses()
        while not all(_has_ended(process) for process in tree) and pauses.waited_seconds < STOP_TIMEOUT_SECONDS:
            pauses.take()
        return exit_code

    def pause(self) -> None:
        """SIGSTOP: it keeps its connections and answers nothing, like a hanging server."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Undo :meth:`pause`."""
        os.kill(self.pid, signal.SIGCONT)

    def _frozen_tree(self) -> list[psutil.Process]:
        try:
            root = psutil.Process(self.pid)
            root.suspend()  # it starts nothing more while we look
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def _has_ended(process: psutil.Process) -> bool:
    """Whether nothing of the process is left but, perhaps, an exit code nobody has fetched."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def start_child(
    command: Sequence[str | Path],
    *,
    log_path: Path,
    env: Mapping[str, str],
    cwd: Path | None = None,
    user_id: int | None = None,
    stop_signal: int = signal.SIGTERM,
) -> ChildProcess:
    """Start ``command``; both of its outputs are appended to ``log_path``. It ends with us at the latest.

    ``env`` is the whole environment. With ``user_id`` (only as root) the program runs as that user, without groups.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    log: IO[bytes]
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
            user=user_id,
            group=user_id,
            extra_groups=None if user_id is None else [],
        )
    _watchdog.watch(process.pid, stop_signal)
    return ChildProcess(process, stop_signal=stop_signal, log_path=log_path)


def wait_until_ready(
    child: ChildProcess,
    is_ready: Callable[[], bool],
    *,
    name: str,
    timeout_seconds: float = READY_TIMEOUT_SECONDS,
) -> None:
    """Wait until ``is_ready`` says yes. Raises ``StartupFailed`` if the child ends before, or the time is up."""
    pauses = Pauses()
    while not is_ready():
        if not child.is_running:
            raise StartupFailed(name, f"it ended with exit code {child.exit_code}", log_path=child.log_path)
        if pauses.waited_seconds > timeout_seconds:
            child.kill()
            raise StartupFailed(name, f"not ready after {timeout_seconds:.0f} s", log_path=child.log_path)
        pauses.take()
