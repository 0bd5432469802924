"""Keeps the pose model's library from writing over a command's output. (The worker turns such lines into log lines.)"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STDERR_FILENO = 2


@contextmanager
def native_chatter_dropped() -> Iterator[None]:
    """The library writes notes on its own start past Python's streams; none is about a photograph."""
    real = os.dup(STDERR_FILENO)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), STDERR_FILENO)
    try:
        yield
    finally:
        os.dup2(real, STDERR_FILENO)
        os.close(real)
