"""When the port opens."""

import pytest

from models.health import Component, HealthReport
from tests.support.clock import SteppedClock
from worker.supervision.opening import OPEN_AT_LATEST_SECONDS, OPEN_WHEN_AWAY_SECONDS, Opening

NOTHING_WORKS = dict.fromkeys(Component, False)
MODEL_LOADED = NOTHING_WORKS | {Component.MODEL: True}


@pytest.mark.parametrize(
    ("report", "due"),
    [
        (HealthReport(NOTHING_WORKS, starting=True), False),
        (HealthReport(MODEL_LOADED, starting=True), False),
        (HealthReport(NOTHING_WORKS), False),
        (HealthReport(MODEL_LOADED), True),
    ],
    ids=["nothing is ready", "only the model", "only the executor", "both"],
)
def test_the_port_opens_when_executor_and_model_are_ready(report: HealthReport, *, due: bool) -> None:
    assert Opening(lambda: report).is_due() is due


def opening(clock: SteppedClock) -> Opening:
    return Opening(lambda: HealthReport(NOTHING_WORKS, starting=True), now=clock)


def test_it_opens_all_the_same_when_the_start_has_waited_a_few_seconds_for_something_away() -> None:
    clock = SteppedClock()
    waits = opening(clock)
    waits.something_is_away()
    clock.advance(OPEN_WHEN_AWAY_SECONDS / 2)
    waits.something_is_away()
    before = waits.is_due()
    clock.advance(OPEN_WHEN_AWAY_SECONDS / 2)
    assert (before, waits.is_due()) == (False, True)


def test_what_was_away_for_a_moment_does_not_open_it() -> None:
    clock = SteppedClock()
    waits = opening(clock)
    waits.something_is_away()
    waits.nothing_is_away()
    clock.advance(OPEN_WHEN_AWAY_SECONDS)
    assert not waits.is_due()


def test_a_worker_that_never_gets_ready_does_not_hide_it() -> None:
    clock = SteppedClock()
    waits = opening(clock)
    clock.advance(OPEN_AT_LATEST_SECONDS)
    assert waits.is_due()
