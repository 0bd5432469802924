"""Three tasks given up in a row for one reason stop the intake; then one is tried at a time."""

import pytest

from tests.support.clock import SteppedClock
from worker.execution.burial_brake import BURIALS_IN_A_ROW, BurialBrake
from worker.intake.stop import Intake, IntakeStop

REASON = "platform refused wearon_worker_claim: P0001"
PAUSE_SECONDS = 30.0


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


class TestBrake:
    @pytest.fixture
    def told(self) -> list[str]:
        return []

    @pytest.fixture
    def brake(self, told: list[str], clock: SteppedClock) -> BurialBrake:
        return BurialBrake(told.append, pause_seconds=PAUSE_SECONDS, now=clock)

    def test_the_third_in_a_row_is_the_last(self, brake: BurialBrake, told: list[str]) -> None:
        assert [brake.may_bury(REASON) for _ in range(200)] == [True] * BURIALS_IN_A_ROW + [False] * 197
        assert told == [REASON]

    def test_different_reasons_are_different_tasks_faults(self, brake: BurialBrake, told: list[str]) -> None:
        assert all(brake.may_bury(f"{REASON} {number % 2}") for number in range(50))
        assert told == []

    def test_a_task_that_ends_well_in_between_clears_the_platform(self, brake: BurialBrake, told: list[str]) -> None:
        for _ in range(20):
            assert brake.may_bury(REASON)
            assert brake.may_bury(REASON)
            brake.ended_well()
        assert told == []

    def test_one_in_each_pause_may_be_given_up_whatever_the_reason(
        self, brake: BurialBrake, told: list[str], clock: SteppedClock
    ) -> None:
        for _ in range(BURIALS_IN_A_ROW):
            brake.may_bury(REASON)
        for reason in (REASON, "another"):
            clock.advance(PAUSE_SECONDS)
            assert [brake.may_bury(reason) for _ in range(3)] == [True, False, False]
        assert told == [REASON]

    def test_one_that_ends_well_lets_all_go_on(self, brake: BurialBrake, told: list[str]) -> None:
        for _ in range(BURIALS_IN_A_ROW):
            brake.may_bury(REASON)
        brake.ended_well()
        brake.ended_well()
        assert told == [REASON, ""]
        assert brake.may_bury(REASON)


class TestIntakeStop:
    @pytest.fixture
    def stop(self, clock: SteppedClock) -> IntakeStop:
        return IntakeStop(pause_seconds=PAUSE_SECONDS, now=clock)

    def test_it_is_open_until_something_is_said(self, stop: IntakeStop) -> None:
        assert stop.ask() is Intake.OPEN

    def test_while_tasks_fail_in_a_row_one_is_tried_in_each_pause(self, stop: IntakeStop, clock: SteppedClock) -> None:
        stop.tasks(fail_in_a_row=True)
        assert stop.ask() is Intake.CLOSED
        clock.advance(PAUSE_SECONDS)
        assert stop.ask() is Intake.ONE_TASK
        stop.tried()
        assert stop.ask() is Intake.CLOSED
        stop.tasks(fail_in_a_row=False)
        assert stop.ask() is Intake.OPEN

    def test_while_storage_refuses_none_is_tried(self, stop: IntakeStop, clock: SteppedClock) -> None:
        stop.storage(takes_pictures=False)
        clock.advance(100 * PAUSE_SECONDS)
        assert stop.ask() is Intake.CLOSED
        stop.storage(takes_pictures=True)
        assert stop.ask() is Intake.OPEN
