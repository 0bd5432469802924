"""How long a processor works, which no other process adds to."""

import time
from collections.abc import Callable
from typing import Final

RUNS: Final = 3


def processor_seconds(work: Callable[[], object]) -> float:
    """Of the quickest of several runs: other threads of this process and its garbage collector add to some."""

    def once() -> float:
        started = time.process_time()
        work()
        return time.process_time() - started

    return min(once() for _ in range(RUNS))
