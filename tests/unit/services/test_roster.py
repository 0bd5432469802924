"""Which model is asked next when one is gone or refused."""

import pytest
from structlog.testing import capture_logs

from models.image_models import ImageModelProfile, parse_models
from services.providers.roster import REFUSED_SECONDS, ModelRoster
from tests.support.clock import SteppedClock

FIRST, SECOND = parse_models("gpt-image-2.6-sunburst,gpt-image-2.6-flare")


class Roster(ModelRoster):
    """A roster with a clock that is moved, and a list of what it told."""

    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.gone: list[str] = []
        self.usable: list[tuple[str, ...]] = []
        super().__init__(
            [FIRST, SECOND], on_model_gone=self.gone.append, on_usable_models=self.usable.append, now=self.clock
        )


@pytest.fixture
def roster() -> Roster:
    return Roster()


def after(roster: Roster, seconds: float) -> ImageModelProfile | None:
    roster.clock.advance(seconds)
    return roster.preferred()


def test_a_refused_model_is_passed_over_and_asked_again_after_a_while(roster: Roster) -> None:
    roster.set_aside(FIRST, reason="verify")
    assert roster.preferred() == SECOND
    assert after(roster, REFUSED_SECONDS - 1) == SECOND
    assert after(roster, 1) == FIRST
    assert roster.gone == []


def test_a_model_that_is_gone_stays_gone(roster: Roster) -> None:
    roster.retire(FIRST, reason="deprecated")
    assert after(roster, 10 * REFUSED_SECONDS) == SECOND
    assert roster.gone == [FIRST.name]


def test_which_are_usable_is_told_when_it_changes_and_when_a_refusal_runs_out(roster: Roster) -> None:
    roster.preferred()
    roster.set_aside(FIRST, reason="verify")
    roster.set_aside(FIRST, reason="verify")
    after(roster, REFUSED_SECONDS)
    roster.retire(SECOND, reason="deprecated")
    assert roster.usable == [(SECOND.name,), (FIRST.name, SECOND.name), (FIRST.name,)]


def test_with_none_left_all_are_asked_again(roster: Roster) -> None:
    roster.set_aside(FIRST, reason="verify")
    roster.start_over_if_empty()
    assert roster.preferred() == SECOND, "one is left: nothing starts over"
    roster.retire(SECOND, reason="deprecated")
    assert roster.preferred() is None
    roster.start_over_if_empty()
    assert roster.preferred() == FIRST


def test_a_refusal_told_by_many_tasks_is_logged_once_and_counts_from_the_last(roster: Roster) -> None:
    with capture_logs() as logs:
        for _ in range(3):
            roster.set_aside(FIRST, reason="verify")
            roster.clock.advance(10)
    assert [line["event"] for line in logs] == ["image_model_refused"]
    assert (logs[0]["log_level"], logs[0]["next_model"], logs[0]["reason"]) == ("error", SECOND.name, "verify")
    assert after(roster, REFUSED_SECONDS - 11) == SECOND
    assert after(roster, 1) == FIRST
