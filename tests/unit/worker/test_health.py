"""What /health says of the parts."""

import pytest
import structlog

from models.health import NEEDED_WHILE_DRAINING, TRUSTED_UNTIL_THEY_FAIL, Component, HealthReport
from worker.health import HealthBoard

ALL_UP = dict.fromkeys(Component, True)


def board_with_everything_up() -> HealthBoard:
    board = HealthBoard()
    for component in Component:
        board.part(component, up=True)
    return board


def test_the_status_is_ok_when_every_part_works() -> None:
    report = HealthReport(ALL_UP)
    assert (report.status, report.degraded) == ("ok", ())


@pytest.mark.parametrize("component", Component)
def test_one_part_that_does_not_work_degrades_the_whole_and_is_named(component: Component) -> None:
    report = HealthReport(ALL_UP | {component: False})
    assert (report.status, report.degraded) == ("degraded", (component,))


@pytest.mark.parametrize("component", Component)
def test_while_draining_only_the_model_and_redis_count(component: Component) -> None:
    report = HealthReport(ALL_UP | {component: False}, draining=True)
    assert report.status == ("degraded" if component in NEEDED_WHILE_DRAINING else "ok")


def test_a_worker_that_is_starting_is_not_ok_whatever_works() -> None:
    assert HealthReport(ALL_UP, starting=True).status == "degraded"


def test_nothing_works_before_it_says_so_but_what_is_asked_only_when_there_is_work() -> None:
    assert HealthBoard().report() == HealthReport(
        {component: component in TRUSTED_UNTIL_THEY_FAIL for component in Component}
    )


@pytest.mark.parametrize("component", Component)
def test_each_part_reports_for_itself_and_may_recover(component: Component) -> None:
    board = board_with_everything_up()
    board.part(component, up=False, reason="gone")
    assert board.report().degraded == (component,)
    board.part(component, up=True)
    assert board.report().status == "ok"


def test_a_part_that_stops_working_is_one_error_line_with_its_reason_and_one_line_when_it_is_back() -> None:
    board = board_with_everything_up()
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            board.part(Component.REDIS, up=False, reason="READONLY You can't write against a read only replica.")
        board.part(Component.REDIS, up=True)
    assert [(line["event"], line["log_level"], line["part"]) for line in lines] == [
        ("part_down", "error", "redis"),
        ("part_works", "info", "redis"),
    ]
    assert lines[0]["reason"].startswith("READONLY")


def test_a_part_that_ends_while_draining_is_no_error() -> None:
    board = board_with_everything_up()
    board.draining()
    with structlog.testing.capture_logs() as lines:
        board.part(Component.CONSUMER, up=False)
    assert lines == []
    assert board.report().draining


def test_a_part_that_goes_while_the_worker_still_starts_is_an_error_and_one_not_yet_there_is_none() -> None:
    board = HealthBoard()
    board.starting(value=True)
    with structlog.testing.capture_logs() as lines:
        board.part(Component.REDIS, up=False, reason="not yet there")
        board.part(Component.REDIS, up=True)
        board.part(Component.REDIS, up=False, reason="gone again")
    assert [(line["event"], line.get("reason")) for line in lines] == [
        ("part_works", None),
        ("part_down", "gone again"),
    ]


def test_a_board_says_that_the_worker_is_starting_until_it_is_told_otherwise() -> None:
    board = board_with_everything_up()
    board.starting(value=True)
    assert board.report().status == "degraded"
    board.starting(value=False)
    assert board.report().status == "ok"
