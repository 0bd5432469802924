"""How long a measuring process that does not become ready is left alone."""

import threading
from queue import SimpleQueue

import pytest

from size_rec.processes.handle import Measurer
from size_rec.processes.pool import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, _Keeper, next_pause_seconds

TRIES = 8


@pytest.mark.parametrize(
    ("pause_seconds", "following"),
    [
        (FIRST_PAUSE_SECONDS, 2 * FIRST_PAUSE_SECONDS),
        (8.0, 16.0),
        (LONGEST_PAUSE_SECONDS / 2, LONGEST_PAUSE_SECONDS),
        (LONGEST_PAUSE_SECONDS - 1, LONGEST_PAUSE_SECONDS),
        (LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS),
    ],
)
def test_each_pause_is_twice_as_long_as_the_one_before_up_to_a_minute(pause_seconds: float, following: float) -> None:
    assert next_pause_seconds(pause_seconds) == following


class ClosedAfterTries(threading.Event):
    """Notes how long it is waited for instead of waiting, and is set after some times."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        """No time goes by."""
        self.pauses.append(timeout)
        if len(self.pauses) == TRIES:
            self.set()
        return self.is_set()


def test_a_process_that_never_becomes_ready_is_tried_again_after_ever_longer_pauses() -> None:
    closed = ClosedAfterTries()

    def fail() -> Measurer:
        raise OSError("no process can be started")

    _Keeper(fail, SimpleQueue(), closed, changed_state=lambda: None, look_seconds=0.1)._run()
    assert closed.pauses == [1, 2, 4, 8, 16, 32, 60, 60]
