"""What the provider client does after a long wait for its turn."""

import asyncio
import time
from collections.abc import Callable

import pytest

from models.failures import NoLongerWanted, PlatformRefused
from models.image_models import parse_models
from models.stages import Stage, StageTimes
from sandbox.openai_sim import SimulatorClient, running_simulator
from services.providers.client import LONG_WAIT_SECONDS, ImageClient
from services.providers.openai.images import OpenAIImages
from services.turns.gate import Turn, TurnOutcome
from services.turns.window import Slot
from tests.support.clock import SteppedClock
from tests.support.images import plain
from worker.execution.clock import TaskClock

TASK_LIMIT_SECONDS = 60.0
AT_ONCE_SECONDS = 30.0


class TurnsAfterAWait:
    """Stands in for a queue that took a minute: the real gate would need one."""

    def __init__(self, waited_seconds: float) -> None:
        self.waited_seconds = waited_seconds
        self.times = StageTimes()
        self.reported: list[TurnOutcome] = []

    def acquire(self, _cancelled: Callable[[], bool], *, input_images: int) -> Turn:
        now = time.monotonic()
        slot = Slot(opens_at=now, earliest_at=now, stamp="0", input_images=input_images)
        return Turn(waited_seconds=self.waited_seconds, slot=slot, probe=None)

    def sent(self, _turn: Turn) -> None:
        """Nobody else shares this queue."""

    def report(self, _turn: Turn, outcome: TurnOutcome, _reason: str = "") -> None:
        self.reported.append(outcome)


def edit_after(waited_seconds: float, simulator: SimulatorClient, *, wanted: bool) -> TurnsAfterAWait:
    turns = TurnsAfterAWait(waited_seconds)
    edit_with(turns, simulator, lambda: wanted)
    return turns


def edit_with(
    turns: TurnsAfterAWait,
    simulator: SimulatorClient,
    still_wanted: Callable[[], bool],
    clock: TaskClock | None = None,
) -> None:
    client = ImageClient(
        OpenAIImages(simulator.base_url, "sk-test-00000000000000000000"),
        models=parse_models("gpt-image-1.5"),
        max_retries=0,
        turns=turns,  # type: ignore[arg-type]  # see TurnsAfterAWait
    )
    asyncio.run(
        client.edit(
            images=[plain(64, 96)],
            person_size=(64, 96),
            prompt="",
            safety_identifier="0" * 64,
            clock=clock or TaskClock(TASK_LIMIT_SECONDS),
            still_wanted=still_wanted,
            times=turns.times,
        )
    )


def test_a_session_settled_by_others_during_a_long_wait_costs_no_call() -> None:
    with running_simulator() as simulator:
        with pytest.raises(NoLongerWanted):
            edit_after(LONG_WAIT_SECONDS + 1, simulator, wanted=False)
        assert simulator.stats()["requests"] == 0


@pytest.mark.parametrize(
    ("waited_seconds", "wanted"),
    [(LONG_WAIT_SECONDS + 1, True), (0.0, False)],
    ids=["still wanted after a long wait", "not even asked after a short one"],
)
def test_a_session_that_is_still_wanted_is_made(waited_seconds: float, wanted: bool) -> None:
    with running_simulator() as simulator:
        turns = edit_after(waited_seconds, simulator, wanted=wanted)
        assert simulator.stats()["requests"] == 1
    assert turns.reported == [TurnOutcome.ANSWERED]


def test_the_wait_for_a_turn_and_the_answer_are_timed_apart() -> None:
    with running_simulator() as simulator:
        made = edit_after(LONG_WAIT_SECONDS + 1, simulator, wanted=True)
    assert made.times.seconds[Stage.TURN] == LONG_WAIT_SECONDS + 1
    assert 0 < made.times.seconds[Stage.PROVIDER] < AT_ONCE_SECONDS


def test_a_platform_that_is_long_in_saying_whether_the_session_is_still_wanted_does_not_fail_it() -> None:
    """The question waits until Supabase is back, however long that takes."""
    time_now = SteppedClock()

    def yes_after_an_outage() -> bool:
        time_now.advance(2 * TASK_LIMIT_SECONDS)
        return True

    turns, clock = TurnsAfterAWait(LONG_WAIT_SECONDS + 1), TaskClock(TASK_LIMIT_SECONDS, now=time_now)
    with running_simulator() as simulator:
        edit_with(turns, simulator, yes_after_an_outage, clock)
        assert simulator.stats()["requests"] == 1
    assert clock.remaining_seconds() == TASK_LIMIT_SECONDS


def test_a_turn_is_reported_when_nobody_can_say_whether_the_session_is_still_wanted() -> None:
    """It may be the one probe of a pause, for which everybody waits."""

    def nobody_can_say() -> bool:
        raise PlatformRefused("claim", "no right to")

    turns = TurnsAfterAWait(LONG_WAIT_SECONDS + 1)
    with running_simulator() as simulator:
        with pytest.raises(PlatformRefused):
            edit_with(turns, simulator, nobody_can_say)
        assert simulator.stats()["requests"] == 0
    assert turns.reported == [TurnOutcome.UNKNOWN]
