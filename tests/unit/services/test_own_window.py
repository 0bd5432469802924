"""What one process remembers of what it used of a limit."""

import math

from services.turns.own_window import OwnWindow

SECONDS = 60.0


def test_there_is_room_until_the_limit_is_used() -> None:
    window = OwnWindow(3, SECONDS)
    window.note(10.0, 2)
    assert window.free_at(1) == -math.inf
    assert window.free_at(2) == 10.0 + SECONDS


def test_after_that_an_entry_is_free_a_window_after_the_oldest() -> None:
    window = OwnWindow(3, SECONDS)
    for instant in (10.0, 11.0, 12.0, 13.0):
        window.note(instant, 1)
    assert window.free_at(1) == 11.0 + SECONDS
    assert window.free_at(3) == 13.0 + SECONDS


def test_instants_may_be_noted_in_any_order() -> None:
    window = OwnWindow(2, SECONDS)
    for instant in (12.0, 10.0, 11.0):
        window.note(instant, 1)
    assert window.free_at(1) == 11.0 + SECONDS


def test_what_was_used_late_is_free_late() -> None:
    window = OwnWindow(2, SECONDS)
    window.note(10.0, 1)
    window.note(11.0, 1)
    window.move(10.0, 1, to=14.0)
    assert window.free_at(1) == 11.0 + SECONDS
    assert window.free_at(2) == 14.0 + SECONDS


def test_what_was_forgotten_before_it_was_used_is_remembered_anew() -> None:
    window = OwnWindow(2, SECONDS)
    for instant in (10.0, 11.0, 12.0):
        window.note(instant, 1)
    window.move(10.0, 1, to=13.0)
    assert window.free_at(1) == 12.0 + SECONDS
    assert window.free_at(2) == 13.0 + SECONDS


def test_of_several_entries_at_one_instant_only_those_that_were_late_move() -> None:
    window = OwnWindow(4, SECONDS)
    window.note(10.0, 4)
    window.move(10.0, 2, to=15.0)
    assert window.free_at(2) == 10.0 + SECONDS
    assert window.free_at(3) == 15.0 + SECONDS
