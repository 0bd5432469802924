"""Waits grow, end, and keep Meta's limits."""

from hypothesis import given
from hypothesis import strategies as st

from monitoring.whatsapp_bridge.pacing import (
    LONGEST_PAIR_RETRY_SECONDS,
    LONGEST_RETRY_AFTER_SECONDS,
    LONGEST_RETRY_SECONDS,
    PAIR_BURST,
    PAIR_INTERVAL_SECONDS,
    at_least,
    earliest,
    lent_after,
    pair_retry_seconds,
    retry_seconds,
)

METAS_BURST = 45


def test_waits_double_up_to_the_longest() -> None:
    assert [retry_seconds(failures, 0.0) for failures in range(1, 8)] == [1, 2, 4, 8, 16, 20, 20]
    assert retry_seconds(10**6, 0.0) == LONGEST_RETRY_SECONDS


def test_pair_waits_are_metas_powers_of_four() -> None:
    assert [pair_retry_seconds(failures, 0.0) for failures in range(1, 6)] == [4, 16, 64, 256, 256]
    assert pair_retry_seconds(10**6, 0.0) == LONGEST_PAIR_RETRY_SECONDS


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_chance_takes_off_a_quarter_at_most(failures: int, chance: float) -> None:
    assert 0.75 * retry_seconds(failures, 0.0) <= retry_seconds(failures, chance) <= retry_seconds(failures, 0.0)


def test_metas_wish_counts_when_it_is_longer_and_can_be_believed() -> None:
    assert [at_least(5.0, wish) for wish in (None, 1.0, 60.0, 10**6)] == [5.0, 5.0, 60.0, LONGEST_RETRY_AFTER_SECONDS]


@given(st.lists(st.floats(0, 40), min_size=1, max_size=150))
def test_nobody_gets_more_than_meta_lends_in_any_stretch_of_time(gaps: list[float]) -> None:
    now, lent, sent = 1e9, 0.0, []
    for gap in gaps:
        now = max(now + gap, earliest(lent, now + gap))
        sent.append(now)
        lent = lent_after(lent, now)
    for first in range(len(sent)):
        for last in range(first, len(sent)):
            allowed = PAIR_BURST + (sent[last] - sent[first]) / PAIR_INTERVAL_SECONDS
            assert last - first + 1 <= allowed + 1e-3
    assert PAIR_BURST < METAS_BURST


def test_a_clock_that_was_put_back_holds_nobody_up_for_long() -> None:
    now = 1e9
    of_tomorrow = lent_after(0.0, now + 86_400)
    assert earliest(of_tomorrow, now) - now <= PAIR_INTERVAL_SECONDS
    assert lent_after(of_tomorrow, now) <= now + PAIR_BURST * PAIR_INTERVAL_SECONDS
