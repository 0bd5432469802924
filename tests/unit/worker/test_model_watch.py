"""When the watch over the models asks, warns and complains."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from services.providers.openai.model_list import ModelListUnusable, ShutdownDates
from tests.support.clock import SteppedClock
from worker.supervision.model_watch import ASK_SECONDS, ROUND_SECONDS, SECONDS_PER_DAY, ModelWatch, passed_threshold

START = datetime(2026, 8, 1, tzinfo=UTC)
OURS, OTHER = "gpt-image-2.6-sunburst", "gpt-image-2.6-flare"


@dataclass
class Calendar:
    """A watch in a time that passes by hand."""

    answer: Callable[[], ShutdownDates]
    clock: SteppedClock = field(default_factory=SteppedClock)
    asked: int = 0
    shown: dict[str, datetime | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.watch = ModelWatch(
            [OURS, OTHER],
            ask=self._ask,
            show=self.shown.__setitem__,
            monotonic=self.clock,
            now=lambda: START + timedelta(seconds=self.clock()),
        )

    def _ask(self) -> ShutdownDates:
        self.asked += 1
        return self.answer()

    def rounds(self, days: float) -> list[tuple[int, str]]:
        """Look every hour; which lines came on which day."""
        lines = []
        for _ in range(int(days * SECONDS_PER_DAY / ROUND_SECONDS)):
            with capture_logs() as logs:
                self.watch.round()
            day = int(self.clock() // SECONDS_PER_DAY)
            lines += [(day, f"{line['log_level']} {line['event']}") for line in logs]
            self.clock.advance(ROUND_SECONDS)
        return lines


def ends_in(days: float, *, model: str = OURS) -> Callable[[], ShutdownDates]:
    dates = ShutdownDates({model: START + timedelta(days=days), "gpt-4": START}, told=True)
    return lambda: dates


def test_a_shutdown_is_told_ninety_thirty_and_seven_days_ahead_each_once() -> None:
    calendar = Calendar(ends_in(122))
    ahead = "image_model_shutdown_ahead"
    assert calendar.rounds(days=130) == [(32, f"warning {ahead}"), (92, f"warning {ahead}"), (115, f"error {ahead}")]
    assert calendar.shown == {OURS: START + timedelta(days=122), OTHER: None}


def test_a_start_within_the_last_days_says_only_the_nearest() -> None:
    assert Calendar(ends_in(20)).rounds(days=1) == [(0, "warning image_model_shutdown_ahead")]
    assert Calendar(ends_in(-1)).rounds(days=1) == [(0, "error image_model_shutdown_ahead")]


def test_models_of_others_and_far_ends_are_silent() -> None:
    assert Calendar(ends_in(5, model="gpt-4o")).rounds(days=2) == []
    assert Calendar(ends_in(200)).rounds(days=2) == []


def test_the_provider_is_asked_at_the_start_and_once_a_day() -> None:
    calendar = Calendar(ends_in(365))
    calendar.watch.round()
    assert calendar.asked == 1
    calendar.rounds(days=3)
    assert calendar.asked == 3
    calendar.clock.advance(ASK_SECONDS)
    calendar.watch.round()
    assert calendar.asked == 4


def fail() -> ShutdownDates:
    raise ModelListUnusable("HTTP 404")


def break_down() -> ShutdownDates:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("answer", "event"),
    [
        (fail, "openai_model_list_unusable"),
        (break_down, "openai_model_watch_broke"),
        (lambda: ShutdownDates({}, told=False), "openai_model_list_undated"),
    ],
)
def test_a_list_that_is_not_to_be_had_is_a_line_a_day_and_nothing_else(
    answer: Callable[[], ShutdownDates], event: str
) -> None:
    assert Calendar(answer).rounds(days=3) == [(day, f"warning {event}") for day in range(3)]


def test_after_a_failure_it_is_asked_again_within_the_hour() -> None:
    calendar = Calendar(fail)
    calendar.rounds(days=2 / 24)
    calendar.answer = ends_in(3)
    assert calendar.rounds(days=1 / 24) == [(0, "error image_model_shutdown_ahead")]


def test_an_end_that_was_put_off_takes_its_series_along() -> None:
    calendar = Calendar(ends_in(100))
    calendar.watch.round()
    calendar.answer = lambda: ShutdownDates({}, told=True)
    calendar.clock.advance(ASK_SECONDS)
    calendar.watch.round()
    assert calendar.shown == {OURS: None, OTHER: None}


@pytest.mark.parametrize(("days", "threshold"), [(90.1, None), (90, 90), (30.5, 90), (30, 30), (7, 7), (-3, 7)])
def test_the_threshold_is_the_nearest_that_was_reached(days: float, threshold: int | None) -> None:
    assert passed_threshold(days) == threshold
