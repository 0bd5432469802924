"""A loop that does one round again and again, and when it ends."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis

from models.failures import PlatformUnavailable
from worker.supervision.rounds import UNREACHABLE, Rounds

WAIT_SECONDS = 30.0
NEVER_AGAIN_SECONDS = 3_600.0
AT_ONCE_SECONDS = 0.0


class Turns:
    """A round that can be waited for; ``at`` maps the number of a round to what happens in it."""

    def __init__(self, at: dict[int, Exception] | None = None) -> None:
        self._at = at or {}
        self._changed = threading.Condition()
        self._count = 0

    def __call__(self) -> None:
        with self._changed:
            self._count += 1
            self._changed.notify_all()
            error = self._at.get(self._count)
        if error is not None:
            raise error

    def reached(self, count: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._count >= count, WAIT_SECONDS)


@contextmanager
def running(do_round: Callable[[], None], interval_seconds: float) -> Iterator[Rounds]:
    rounds = Rounds("test", interval_seconds, do_round, expected=UNREACHABLE)
    rounds.start()
    try:
        yield rounds
    finally:
        rounds.stop()
        rounds._thread.join(WAIT_SECONDS)


def test_the_first_round_comes_at_once_and_others_follow() -> None:
    turns = Turns()
    with running(turns, NEVER_AGAIN_SECONDS):
        assert turns.reached(1)
    with running(turns, AT_ONCE_SECONDS):
        assert turns.reached(10)


@pytest.mark.parametrize(
    "error", [redis.ConnectionError("away"), redis.TimeoutError("slow"), PlatformUnavailable("recover", "HTTP 503")]
)
def test_a_round_that_meets_an_outage_is_followed_by_another(error: Exception) -> None:
    turns = Turns({1: error, 2: error})
    with running(turns, AT_ONCE_SECONDS) as rounds:
        assert turns.reached(3)
        assert rounds.is_alive()


def test_stopping_ends_the_loop_without_waiting_for_the_next_round() -> None:
    turns = Turns()
    with running(turns, NEVER_AGAIN_SECONDS) as rounds:
        assert turns.reached(1)
        rounds.stop()
        rounds._thread.join(WAIT_SECONDS)
        assert not rounds.is_alive()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_nobody_foresaw_ends_the_loop_visibly() -> None:
    turns = Turns({1: KeyError("a bug")})
    with running(turns, AT_ONCE_SECONDS) as rounds:
        rounds._thread.join(WAIT_SECONDS)
        assert not rounds.is_alive(), "the supervisor looks at this"
