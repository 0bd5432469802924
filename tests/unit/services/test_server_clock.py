"""A server's clock told on ours, within what its answers prove."""

import pytest

from services.turns.server_clock import SAMPLE_SECONDS, ServerClock

AHEAD = 1_000.0
"""What the server's clock is ahead of ours."""


def observe(clock: ServerClock, asked_at: float, *, there: float, back: float, ahead: float = AHEAD) -> None:
    """A question that took ``there`` seconds to the server, whose answer took ``back``."""
    clock.observe(asked_at + there + ahead, asked_at=asked_at, answered_at=asked_at + there + back)


def test_a_clock_that_was_never_observed_tells_nothing() -> None:
    with pytest.raises(ValueError, match="never observed"):
        ServerClock().ours(0)


def test_the_servers_time_was_somewhere_between_question_and_answer() -> None:
    clock = ServerClock()
    observe(clock, 50.0, there=0.01, back=0.03)
    assert clock.ours(AHEAD + 60.0) == pytest.approx((59.99, 60.03))


def test_an_answer_that_lay_unread_does_not_shift_the_clock() -> None:
    """As when other threads run before the one that waits for it."""
    clock = ServerClock()
    observe(clock, 50.0, there=0.001, back=0.001)
    observe(clock, 51.0, there=0.001, back=0.4)
    assert clock.ours(AHEAD + 60.0) == pytest.approx((59.999, 60.001))


def test_one_that_is_all_there_is_widens_the_bounds_and_keeps_the_truth_between_them() -> None:
    """As the first answer after an idle time, on a busy machine."""
    clock = ServerClock()
    observe(clock, 50.0, there=0.001, back=0.4)
    earliest, latest = clock.ours(AHEAD + 60.0)
    assert earliest <= 60.0 <= latest
    assert latest - earliest == pytest.approx(0.401)


def test_two_answers_prove_more_together_than_each_alone() -> None:
    clock = ServerClock()
    observe(clock, 50.0, there=0.001, back=0.4)
    observe(clock, 51.0, there=0.4, back=0.001)
    assert clock.ours(AHEAD + 60.0) == pytest.approx((59.999, 60.001))


def test_what_was_observed_long_ago_is_not_believed_any_more() -> None:
    """The two clocks may have drifted apart a little."""
    clock, drift = ServerClock(), 0.003
    observe(clock, 50.0, there=0.001, back=0.001)
    observe(clock, 51.0 + SAMPLE_SECONDS, there=0.004, back=0.004, ahead=AHEAD + drift)
    assert clock.ours(AHEAD + drift + 90.0) == pytest.approx((89.996, 90.004))


@pytest.mark.parametrize("step", [-3600.0, -0.5, 0.5, 3600.0])
def test_a_clock_that_was_set_is_followed_at_once(step: float) -> None:
    clock = ServerClock()
    observe(clock, 50.0, there=0.001, back=0.001)
    observe(clock, 51.0, there=0.02, back=0.02, ahead=AHEAD + step)
    assert clock.ours(AHEAD + step + 60.0) == pytest.approx((59.98, 60.02))
