"""A task's own time limit."""

import pytest

from tests.support.clock import SteppedClock
from worker.execution.clock import TaskClock


@pytest.fixture
def time() -> SteppedClock:
    return SteppedClock(started_at=1_000)


@pytest.fixture
def clock(time: SteppedClock) -> TaskClock:
    return TaskClock(300, now=time)


def test_the_whole_limit_is_left_at_the_beginning(clock: TaskClock) -> None:
    assert (clock.remaining_seconds(), clock.elapsed_seconds()) == (300, 0)


def test_time_counts_against_the_limit(clock: TaskClock, time: SteppedClock) -> None:
    time.advance(120)
    assert (clock.remaining_seconds(), clock.elapsed_seconds()) == (180, 120)


def test_waiting_for_a_turn_does_not_count_against_the_limit(clock: TaskClock, time: SteppedClock) -> None:
    time.advance(100)
    with clock.paused():
        time.advance(1_000)
    time.advance(50)
    assert clock.remaining_seconds() == 150
    assert clock.elapsed_seconds() == 1_150, "what the person waited is counted in full"


def test_several_waits_add_up(clock: TaskClock, time: SteppedClock) -> None:
    for _ in range(3):
        with clock.paused():
            time.advance(500)
        time.advance(10)
    assert clock.remaining_seconds() == 270


def test_a_wait_that_ends_by_an_error_does_not_count_either(clock: TaskClock, time: SteppedClock) -> None:
    def wait_in_vain() -> None:
        with clock.paused():
            time.advance(500)
            raise TimeoutError

    with pytest.raises(TimeoutError):
        wait_in_vain()
    assert clock.remaining_seconds() == 300


def test_the_time_left_is_never_negative(clock: TaskClock, time: SteppedClock) -> None:
    time.advance(301)
    assert clock.remaining_seconds() == 0
