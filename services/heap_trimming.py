"""Gives freed memory back to the system, which glibc by itself keeps for the next picture (ADR 0040).

Decoding takes tens of megabytes for some milliseconds. glibc keeps what was freed, and what is still in use lies
scattered among it, so a process stays as large as its busiest moment. Returning every block at once would cost up to a
third of a picture's processor time in page faults; returning all of them now and then costs little.
"""

import ctypes
import threading
import time
from collections.abc import Callable
from typing import Final

LOOK_SECONDS: Final = 10.0
"""At 300 tasks a minute 50 tasks long, which share the tenth of a second that it takes and the page faults after it."""

WORTH_CPU_SECONDS: Final = 0.1
"""Of processor time since the last trim: less than one task takes."""


def heap_trimmer() -> Callable[[], None] | None:
    """What gives back the free pages of every heap of this process; ``None`` where the C library is not glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return None if trim is None else lambda: trim(0)


def is_worth_it(used_cpu_seconds: float) -> bool:
    """[pure] Whether enough was done since the last trim."""
    return used_cpu_seconds >= WORTH_CPU_SECONDS


def trim_heap_after_work() -> None:
    """Do it from now on, in a thread of its own, whenever this process has worked."""
    if trim := heap_trimmer():
        threading.Thread(target=_trim_for_ever, args=(trim,), name="heap-trim", daemon=True).start()


def _trim_for_ever(trim: Callable[[], None]) -> None:
    trimmed_at_cpu_seconds = 0.0
    while True:
        time.sleep(LOOK_SECONDS)
        if is_worth_it(time.process_time() - trimmed_at_cpu_seconds):
            trim()
            trimmed_at_cpu_seconds = time.process_time()
