"""What one executor has taken and where each task stands."""

import threading

import pytest

from models.generation import Channel
from tests.support.clock import SteppedClock
from worker.intake.dispatches import Dispatch, DispatchLedger
from worker.link import Event, ExecutorReady, RunBroke, RunFinished, RunPostponed, RunReturned, RunStarted
from worker.samples import GenerationEnded

AT_ONCE_SECONDS = 0.0
LONG_ENOUGH_SECONDS = 30.0


@pytest.fixture
def time() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def dispatcher(time: SteppedClock) -> DispatchLedger:
    return DispatchLedger(capacity=2, now=time)


def started(dispatcher: DispatchLedger, element: bytes = b"task") -> Dispatch:
    dispatch = dispatcher.add(element)
    dispatcher.receive(RunStarted(dispatch.dispatch_id))
    return dispatch


def test_there_is_room_until_the_capacity_is_reached(dispatcher: DispatchLedger) -> None:
    room = []
    for element in (b"1", b"2"):
        room.append(dispatcher.wait_for_room(AT_ONCE_SECONDS))
        dispatcher.add(element)
    room.append(dispatcher.wait_for_room(AT_ONCE_SECONDS))
    assert room == [True, True, False]


@pytest.mark.parametrize("over", [RunFinished, RunReturned])
def test_the_end_of_a_run_makes_room_for_whoever_waits(
    dispatcher: DispatchLedger, over: type[RunFinished] | type[RunReturned]
) -> None:
    dispatch = started(dispatcher)
    started(dispatcher)
    room: list[bool] = []
    waiting = threading.Thread(target=lambda: room.append(dispatcher.wait_for_room(LONG_ENOUGH_SECONDS)))
    waiting.start()
    dispatcher.receive(over(dispatch.dispatch_id))
    waiting.join(LONG_ENOUGH_SECONDS)
    assert room == [True]


def test_a_postponed_task_keeps_its_place(dispatcher: DispatchLedger) -> None:
    for element in (b"1", b"2"):
        dispatch = started(dispatcher, element)
        dispatcher.receive(RunPostponed(dispatch.dispatch_id, 10))
    assert (dispatcher.count(), dispatcher.running()) == (2, 0)
    assert not dispatcher.wait_for_room(AT_ONCE_SECONDS)


def test_only_what_a_thread_works_on_counts_as_running(dispatcher: DispatchLedger) -> None:
    dispatcher.add(b"waiting")
    running = started(dispatcher)
    assert (dispatcher.count(), dispatcher.running()) == (2, 1)
    dispatcher.receive(RunFinished(running.dispatch_id))
    assert (dispatcher.count(), dispatcher.running()) == (1, 0)


@pytest.mark.parametrize(
    "event",
    [
        RunStarted("of-another-executor"),
        RunFinished("of-another-executor"),
        RunReturned("of-another-executor"),
        RunPostponed("of-another-executor", 10),
        ExecutorReady(),
        GenerationEnded(Channel.B2C, "completed"),
    ],
)
def test_an_event_about_nothing_known_changes_nothing(dispatcher: DispatchLedger, event: Event) -> None:
    started(dispatcher)
    dispatcher.receive(event)
    assert (dispatcher.count(), dispatcher.running()) == (1, 1)


def test_a_returned_run_is_reported_once(dispatcher: DispatchLedger) -> None:
    dispatch = started(dispatcher)
    assert not dispatcher.take_returned()
    dispatcher.receive(RunReturned(dispatch.dispatch_id))
    assert dispatcher.has_returned()
    assert (dispatcher.take_returned(), dispatcher.take_returned()) == (True, False)
    assert not dispatcher.has_returned()


@pytest.mark.parametrize(
    ("in_flight", "dispatched", "missed"),
    [
        ([], [], []),
        ([b"a", b"b"], [b"a", b"b"], []),
        ([b"a", b"b"], [b"b"], [b"a"]),
        ([b"c", b"b", b"a"], [], [b"c", b"b", b"a"]),
        ([b"a", b"a"], [b"a"], [b"a"]),
        ([b"a"], [b"a", b"gone"], []),
    ],
    ids=["nothing", "all dispatched", "one missed", "order kept", "pushed twice, dispatched once", "copy gone already"],
)
def test_in_flight_copies_that_celery_never_got_are_found(
    in_flight: list[bytes], dispatched: list[bytes], missed: list[bytes]
) -> None:
    dispatcher = DispatchLedger(capacity=10)
    for element in dispatched:
        dispatcher.add(element)
    assert dispatcher.not_dispatched(in_flight) == missed


def test_a_returned_run_is_among_what_is_to_be_dispatched_again(dispatcher: DispatchLedger) -> None:
    dispatch = started(dispatcher, b"returned")
    dispatcher.receive(RunReturned(dispatch.dispatch_id))
    assert dispatcher.not_dispatched([b"returned"]) == [b"returned"]


class TestOverdue:
    """How long a task waits beside a free thread: the sign of a Celery that hangs."""

    def test_nothing_is_overdue_when_nothing_waits(self, dispatcher: DispatchLedger, time: SteppedClock) -> None:
        started(dispatcher)
        time.advance(100)
        assert dispatcher.overdue_seconds() == 0

    def test_a_task_nobody_starts_is_overdue_from_when_celery_got_it(
        self, dispatcher: DispatchLedger, time: SteppedClock
    ) -> None:
        dispatch = dispatcher.add(b"task")
        time.advance(60)  # the broker was away
        dispatcher.published(dispatch)
        time.advance(7)
        assert dispatcher.overdue_seconds() == 7

    def test_what_the_broker_does_not_take_is_not_overdue(self, dispatcher: DispatchLedger, time: SteppedClock) -> None:
        dispatcher.add(b"for a full broker")
        time.advance(100)
        assert dispatcher.overdue_seconds() == 0

    def test_the_longest_wait_counts(self, time: SteppedClock) -> None:
        dispatcher = DispatchLedger(capacity=3, now=time)
        dispatcher.published(dispatcher.add(b"first"))
        time.advance(5)
        dispatcher.published(dispatcher.add(b"second"))
        time.advance(1)
        assert dispatcher.overdue_seconds() == 6

    def test_a_postponed_task_is_overdue_only_after_its_delay(
        self, dispatcher: DispatchLedger, time: SteppedClock
    ) -> None:
        dispatch = started(dispatcher)
        dispatcher.receive(RunPostponed(dispatch.dispatch_id, 10))
        time.advance(10)
        assert dispatcher.overdue_seconds() == 0
        time.advance(3)
        assert dispatcher.overdue_seconds() == 3

    def test_waiting_for_a_thread_that_works_is_no_hang(self, time: SteppedClock) -> None:
        dispatcher = DispatchLedger(capacity=1, now=time)
        started(dispatcher)
        dispatcher.published(dispatcher.add(b"waits for the one thread"))
        time.advance(100)
        assert dispatcher.overdue_seconds() == 0


def test_a_run_that_broke_makes_room_and_is_not_dispatched_again_until_it_is_buried(dispatcher: DispatchLedger) -> None:
    broken = started(dispatcher, b"broken")
    started(dispatcher, b"another")
    dispatcher.receive(RunBroke(broken.dispatch_id, "KeyError"))
    assert (dispatcher.count(), dispatcher.running()) == (1, 1)
    assert dispatcher.broken() == [(b"broken", "KeyError")]
    assert dispatcher.not_dispatched([b"broken", b"another"]) == []
    dispatcher.buried(b"broken", "KeyError")
    assert dispatcher.broken() == []
    assert dispatcher.not_dispatched([b"broken", b"another"]) == [b"broken"], "a second copy is a task of its own"


def test_a_broken_run_that_nobody_knows_of_is_nothing(dispatcher: DispatchLedger) -> None:
    dispatcher.receive(RunBroke("unknown", "KeyError"))
    assert dispatcher.broken() == []
