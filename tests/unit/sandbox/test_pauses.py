"""Who waits looks often at first, and later no oftener than needed."""

import pytest

from sandbox.pauses import LONGEST_SECONDS, SHORTEST_SECONDS, pause_seconds


@pytest.mark.parametrize("waited_seconds", [0.0, 0.02, 0.2])
def test_the_first_looks_follow_quickly(waited_seconds: float) -> None:
    assert pause_seconds(waited_seconds) == pytest.approx(SHORTEST_SECONDS)


def test_a_pause_is_at_most_a_tenth_of_the_wait_once_it_has_begun_to_grow() -> None:
    assert pause_seconds(0.5) == pytest.approx(0.05)


@pytest.mark.parametrize("waited_seconds", [1.0, 60.0])
def test_nobody_waits_longer_than_a_tenth_of_a_second_more(waited_seconds: float) -> None:
    assert pause_seconds(waited_seconds) == LONGEST_SECONDS
