"""Processor time and memory of a process with all its children. Linux only: PSS is the kernel's figure."""

import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil

SAMPLE_SECONDS: Final = 0.5
"""Between two looks at the memory; a look takes a millisecond or two."""

KIBIBYTE: Final = 1024


def cpu_seconds(root_pid: int) -> float:
    """User and system time used so far by the process and its children, ended ones included."""
    root = psutil.Process(root_pid)
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
            total += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return total


def pss_bytes(*root_pids: int) -> int:
    """Proportional set size of the processes and their children: shared pages are divided among their users."""
    total = 0
    for root_pid in root_pids:
        root = psutil.Process(root_pid)
        for process in (root, *root.children(recursive=True)):
            with suppress(OSError):  # it has just ended
                total += _pss_bytes_of(process.pid)
    return total


def _pss_bytes_of(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "Pss":
            return int(value.split()[0]) * KIBIBYTE
    return 0


class MemoryWatch:
    """Samples PSS in a thread while the block runs; ``peak_bytes`` is the greatest seen."""

    def __init__(self, root_pid: int) -> None:
        self._root_pid = root_pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory-watch", daemon=True)
        self.peak_bytes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            with suppress(psutil.NoSuchProcess):
                self.peak_bytes = max(self.peak_bytes, pss_bytes(self._root_pid))
            if self._ended.wait(SAMPLE_SECONDS):
                return
