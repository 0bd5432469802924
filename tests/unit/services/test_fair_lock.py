"""Waiting in order, and leaving the queue."""

import threading

import pytest

from services.shutdown import ShuttingDown, sleep_unless
from services.turns.fair_lock import FairLock

LONG_SECONDS = 30.0


def never() -> bool:
    return False


def test_a_sleep_is_refused_when_the_process_shuts_down() -> None:
    with pytest.raises(ShuttingDown):
        sleep_unless(lambda: True, 3_600)


def test_a_sleep_ends_soon_after_a_shutdown_begins() -> None:
    looks = iter([False, False, True])
    with pytest.raises(ShuttingDown):
        sleep_unless(lambda: next(looks), 3_600, check_seconds=0.01)


def test_a_failure_inside_frees_the_lock() -> None:
    lock = FairLock()
    with pytest.raises(ZeroDivisionError), lock.held(never):
        raise ZeroDivisionError
    with lock.held(never):
        pass


@pytest.mark.parametrize("holders", [1, 3])
def test_waiters_are_served_in_the_order_of_asking_however_often_they_look_up(holders: int) -> None:
    lock = FairLock(holders, check_seconds=0.001)
    for _ in range(holders):
        lock._acquire(never)
    served: list[int] = []
    looked_up = [threading.Event() for _ in range(8)]

    def ask(number: int) -> None:
        def look_up() -> bool:
            looked_up[number].set()
            return False

        with lock.held(look_up):
            served.append(number)

    threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(len(looked_up))]
    for thread, has_looked_up in zip(threads, looked_up, strict=True):
        thread.start()
        assert has_looked_up.wait(LONG_SECONDS)
    for has_looked_up in looked_up:
        has_looked_up.clear()
        assert has_looked_up.wait(LONG_SECONDS)
    lock._pass_on()  # to the first, who passes it on to the next
    for thread in threads:
        thread.join(LONG_SECONDS)
    assert served == list(range(len(threads)))


def test_a_lock_for_several_lets_just_so_many_in() -> None:
    lock = FairLock(2)
    with lock.held(never), lock.held(never), pytest.raises(ShuttingDown), lock.held(lambda: True):
        pass
    with lock.held(never), lock.held(never):
        pass


def test_a_waiter_who_leaves_in_the_moment_it_is_served_passes_the_lock_on() -> None:
    lock = FairLock(check_seconds=0.01)
    lock._acquire(never)

    def cancelled_while_being_served() -> bool:
        lock._pass_on()
        return True

    with pytest.raises(ShuttingDown), lock.held(cancelled_while_being_served):
        pass
    entered = threading.Event()

    def enter() -> None:
        with lock.held(never):
            entered.set()

    thread = threading.Thread(target=enter, daemon=True)
    thread.start()
    assert entered.wait(LONG_SECONDS)
    thread.join()
