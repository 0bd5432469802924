"""One picture at a time, and a second one beside it for whoever has waited (ADR 0050)."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from services.images.decode_slots import DecodeSlots

LONG_SECONDS = 60.0
SOON_SECONDS = 0.05


class Work:
    """Holds a slot until it is told to end."""

    def __init__(
        self, slots: DecodeSlots, log: list[str], name: str, tell_begun: Callable[[], None] = lambda: None
    ) -> None:
        self.began = threading.Event()
        self.may_end = threading.Event()
        self._slots, self._log, self._name, self._tell_begun = slots, log, name, tell_begun

    def __call__(self) -> None:
        with self._slots.held():
            self._log.append(f"{self._name} began")
            self.began.set()
            self._tell_begun()
            assert self.may_end.wait(LONG_SECONDS)
            self._log.append(f"{self._name} ends")


@pytest.fixture
def submit() -> Iterator[Callable[[Work], Future[None]]]:
    with ThreadPoolExecutor() as threads:
        yield threads.submit


def test_the_next_one_begins_when_the_first_one_ends(submit: Callable[[Work], Future[None]]) -> None:
    log: list[str] = []
    slots = DecodeSlots(2, patience_seconds=LONG_SECONDS)
    first, second = Work(slots, log, "first"), Work(slots, log, "second")
    submit(first)
    assert first.began.wait(LONG_SECONDS)
    waiting = submit(second)
    second.may_end.set()
    first.may_end.set()
    waiting.result(LONG_SECONDS)
    assert log == ["first began", "first ends", "second began", "second ends"]


def test_whoever_has_waited_begins_beside_the_first_one(submit: Callable[[Work], Future[None]]) -> None:
    log: list[str] = []
    slots = DecodeSlots(2, patience_seconds=SOON_SECONDS)
    first, second = Work(slots, log, "first"), Work(slots, log, "second")
    submit(first)
    assert first.began.wait(LONG_SECONDS)
    submit(second)
    assert second.began.wait(LONG_SECONDS), "while the first one is still at work"
    first.may_end.set()
    second.may_end.set()


def test_however_long_they_wait_there_are_never_more_than_slots(submit: Callable[[Work], Future[None]]) -> None:
    log: list[str] = []
    slots = DecodeSlots(2, patience_seconds=0.0)
    begun = threading.Semaphore(0)
    works = [Work(slots, log, str(number), begun.release) for number in range(6)]
    ended = [submit(work) for work in works]
    assert begun.acquire(timeout=LONG_SECONDS)
    assert begun.acquire(timeout=LONG_SECONDS)
    assert not begun.acquire(timeout=SOON_SECONDS), "nobody has ended, and there are only two slots"
    for work in works:
        work.may_end.set()
    for one in ended:
        one.result(LONG_SECONDS)
    now = most = 0
    for line in log:
        now += 1 if line.endswith("began") else -1
        most = max(most, now)
    assert most == 2
    assert len(log) == 2 * len(works)


def test_a_slot_is_free_again_after_a_failure() -> None:
    slots = DecodeSlots(1, patience_seconds=LONG_SECONDS)
    for _ in range(3):
        with pytest.raises(ValueError, match="broken picture"), slots.held():
            raise ValueError("broken picture")
