"""When the platform counts as away, and who is told."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from models.failures import PlatformFailure, PlatformRefused, PlatformUnavailable
from models.health import Component
from tests.support.clock import SteppedClock
from worker.health import HealthBoard
from worker.settlement import away_watch
from worker.settlement.away_watch import AwayWatch
from worker.supervision.database_watch import HICCUP_SECONDS, Asker, DatabaseWatch

AWAY = PlatformUnavailable("wearon_worker_claim", "HTTP 404", "404 Not Found")


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


class TestAwayWatch:
    @pytest.fixture
    def told(self) -> list[str]:
        return []

    @pytest.fixture
    def call(self, told: list[str], clock: SteppedClock) -> Callable[[str, PlatformFailure | None], None]:
        watch = AwayWatch(told.append, clock)

        def call(operation: str, failure: PlatformFailure | None = None) -> None:
            def act() -> None:
                if failure is not None:
                    raise failure

            with suppress(PlatformFailure):
                watch.watched(operation, act)

        return call

    def test_a_hiccup_is_not_told(
        self, call: Callable[[str, PlatformFailure | None], None], told: list[str], clock: SteppedClock
    ) -> None:
        for _ in range(10):
            call("claim", AWAY)
            clock.advance(away_watch.MOMENT_SECONDS / 2)
            call("claim", None)
        assert told == []

    def test_what_lasts_is_told_once_in_the_other_side_s_words_and_so_is_its_end(
        self, call: Callable[[str, PlatformFailure | None], None], told: list[str], clock: SteppedClock
    ) -> None:
        for _ in range(10):
            call("claim", AWAY)
            clock.advance(away_watch.MOMENT_SECONDS)
        assert told == ["wearon_worker_claim: HTTP 404 (404 Not Found)"]
        call("claim", None)
        assert told[1:] == [""]

    def test_another_call_that_lands_does_not_end_it(
        self, call: Callable[[str, PlatformFailure | None], None], told: list[str], clock: SteppedClock
    ) -> None:
        call("claim", AWAY)
        clock.advance(away_watch.MOMENT_SECONDS)
        call("claim", AWAY)
        call("fail", None)
        assert len(told) == 1

    def test_a_no_is_an_answer(
        self, call: Callable[[str, PlatformFailure | None], None], told: list[str], clock: SteppedClock
    ) -> None:
        call("claim", AWAY)
        clock.advance(away_watch.MOMENT_SECONDS)
        call("claim", PlatformRefused("wearon_worker_claim", "P0001"))
        clock.advance(away_watch.MOMENT_SECONDS)
        call("claim", AWAY)
        assert told == []


class TestDatabaseWatch:
    @pytest.fixture
    def board(self) -> HealthBoard:
        return HealthBoard()

    @pytest.fixture
    def watch(self, board: HealthBoard, clock: SteppedClock) -> DatabaseWatch:
        return DatabaseWatch(board, clock)

    @staticmethod
    def is_up(board: HealthBoard) -> bool:
        return board.report().parts[Component.DATABASE]

    def test_one_lost_heartbeat_is_no_outage(self, watch: DatabaseWatch, board: HealthBoard) -> None:
        watch.fails(Asker.HEARTBEAT, "ReadTimeout")
        assert self.is_up(board)

    def test_heartbeats_that_fail_for_longer_are(
        self, watch: DatabaseWatch, board: HealthBoard, clock: SteppedClock
    ) -> None:
        watch.fails(Asker.HEARTBEAT, "ReadTimeout")
        clock.advance(HICCUP_SECONDS)
        watch.fails(Asker.HEARTBEAT, "ReadTimeout")
        assert not self.is_up(board)
        watch.answers(Asker.HEARTBEAT)
        assert self.is_up(board)

    @pytest.mark.parametrize("asker", [Asker.RUNS, Asker.BURIALS])
    def test_a_heartbeat_that_lands_does_not_hide_what_tasks_meet(
        self, watch: DatabaseWatch, board: HealthBoard, asker: Asker
    ) -> None:
        watch.fails(asker, "P0001")
        watch.answers(Asker.HEARTBEAT)
        assert not self.is_up(board)
        watch.answers(asker)
        assert self.is_up(board)
