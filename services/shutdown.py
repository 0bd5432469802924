"""Waiting that ends soon when the process shuts down."""

import time
from collections.abc import Callable
from typing import Final

CANCEL_CHECK_SECONDS: Final = 0.5
"""How long a waiter may overlook a shutdown; two looks a second by each of 200 threads cost about 1 % of a core."""


class ShuttingDown(Exception):
    """The process is shutting down; what was waited for did not come, and the task goes back to where it came from."""


def sleep_unless(cancelled: Callable[[], bool], seconds: float) -> None:
    """Sleeps for ``seconds``.

    Raises:
        ShuttingDown: ``cancelled()`` is or becomes true.
    """
    end = time.monotonic() + seconds
    while True:
        if cancelled():
            raise ShuttingDown
        left = end - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, CANCEL_CHECK_SECONDS))
