"""Waiting in order, and leaving the queue."""

import threading

import pytest

from services import turn_waiting
from services.turn_waiting import FairLock, TurnCancelled, sleep_unless


def never() -> bool:
    return False


def test_a_sleep_is_refused_when_the_process_shuts_down() -> None:
    with pytest.raises(TurnCancelled):
        sleep_unless(lambda: True, 3_600)


def test_a_sleep_ends_soon_after_a_shutdown_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_waiting, "CANCEL_CHECK_SECONDS", 0.01)
    looks = iter([False, False, True])
    with pytest.raises(TurnCancelled):
        sleep_unless(lambda: next(looks), 3_600)


def test_a_failure_inside_frees_the_lock() -> None:
    lock = FairLock()
    with pytest.raises(ZeroDivisionError), lock.held(never):
        raise ZeroDivisionError
    with lock.held(never):
        pass


def test_a_waiter_who_leaves_in_the_moment_it_is_served_passes_the_lock_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_waiting, "CANCEL_CHECK_SECONDS", 0.01)
    lock = FairLock()
    lock._acquire(never)

    def cancelled_while_being_served() -> bool:
        lock._pass_on()
        return True

    with pytest.raises(TurnCancelled), lock.held(cancelled_while_being_served):
        pass
    entered = threading.Event()

    def enter() -> None:
        with lock.held(never):
            entered.set()

    thread = threading.Thread(target=enter, daemon=True)
    thread.start()
    assert entered.wait(5)
    thread.join()
