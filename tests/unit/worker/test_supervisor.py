"""Short histories of an executor, and what the supervisor makes of each."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import cast
from uuid import UUID, uuid4

import pytest
import redis
from prometheus_client import CollectorRegistry

from models.failures import PlatformUnavailable
from models.health import Component
from worker.executor_state import STATES_TO_DRAIN, STATES_TO_REPLACE, ExecutorState
from worker.health import HealthBoard
from worker.metrics import Metrics
from worker.supervision.executor import Executor
from worker.supervision.supervisor import (
    EXIT_PART_DIED,
    EXIT_STOPPED,
    HEARTBEAT,
    MAX_RESTARTS,
    RESTART_WINDOW_SECONDS,
    Pace,
    Supervisor,
)

RUNNING = ExecutorState.RUNNING
GRACE_SECONDS = 320.0
HANG_GRACE_SECONDS = 300.0
LEASE_SECONDS = 40.0
SOME_SECONDS = 9.0
"""Less than half of what lies between any two of these."""


class ScriptedExecutor:
    """Goes through ``states``, one a look, and stays in the last; remembers what was done to it."""

    name = "scripted"

    def __init__(
        self, states: Sequence[ExecutorState], *, start_errors: Sequence[Exception] = (), at_end: Callable[[], None]
    ) -> None:
        self.executor_id: UUID = uuid4()
        self.done: list[object] = []
        self._states = iter(states)
        self._last = states[-1]
        self._start_errors = iter(start_errors)
        self._at_end = at_end

    def start(self) -> None:
        self.done.append("start")
        error = next(self._start_errors, None)
        if error is not None:
            raise error

    def state(self) -> ExecutorState:
        state = next(self._states, None)
        if state is None:
            self._at_end()
            return self._last
        return state

    def stop(self, latest_end: Callable[[], float]) -> None:
        self.done.append(("stop within", latest_end() - time.monotonic()))

    def end(self) -> None:
        self.done.append("end")

    def renew_lease(self) -> None:
        self.done.append("renew lease")

    def running(self) -> int:
        return 2

    def in_flight(self) -> int:
        return 3


def stop_within(seconds: float) -> tuple[str, object]:
    """Of what was done to an executor."""
    return ("stop within", about(seconds))


def about(seconds: float) -> object:
    """On a busy machine some have gone by."""
    return pytest.approx(seconds, abs=SOME_SECONDS)


class ScriptedPart:
    """A thread that is found dead at the given look."""

    def __init__(self, *, dies_at_look: int, name: str = "recovery") -> None:
        self.name = name
        self._looks_left = dies_at_look

    def is_alive(self) -> bool:
        self._looks_left -= 1
        return self._looks_left > 0


class History:
    """A supervisor over executors with scripted lives; it is told to stop when the last script is played."""

    def __init__(
        self,
        *lives: Sequence[ExecutorState],
        start_errors: Sequence[Exception] = (),
        shutdown_grace_seconds: float = GRACE_SECONDS,
        restart_window_seconds: float = RESTART_WINDOW_SECONDS,
    ) -> None:
        self.stop_asked = threading.Event()
        self.board = HealthBoard()
        self.registry = CollectorRegistry()
        self.executors: list[ScriptedExecutor] = []
        self._lives = iter(lives)
        self._start_errors = start_errors
        self.supervisor = Supervisor(
            self._make_executor,
            board=self.board,
            metrics=Metrics(self.registry),
            shutdown_grace_seconds=shutdown_grace_seconds,
            hang_grace_seconds=HANG_GRACE_SECONDS,
            lease_seconds=LEASE_SECONDS,
            stop_asked=self.stop_asked,
            pace=Pace(watch_seconds=0, start_retry_seconds=0, restart_window_seconds=restart_window_seconds),
        )

    def _make_executor(self) -> Executor:
        errors, self._start_errors = self._start_errors, ()
        executor = ScriptedExecutor(next(self._lives), start_errors=errors, at_end=self._stop)
        self.executors.append(executor)
        return cast(Executor, executor)

    def _stop(self) -> None:
        self.stop_asked.set()

    def play(self, *parts: ScriptedPart) -> int:
        return self.supervisor.run(parts)

    def restarts(self, state: ExecutorState) -> float:
        return self.registry.get_sample_value("wearon_executor_restarts_total", {"reason": state.value}) or 0


def test_only_a_stop_is_a_success_for_whoever_restarts_the_container() -> None:
    assert {"stopped": EXIT_STOPPED, "part died": bool(EXIT_PART_DIED)} == {"stopped": 0, "part died": True}


def test_a_stop_lets_running_tasks_finish_and_exits_with_zero() -> None:
    history = History([RUNNING])
    assert history.play() == EXIT_STOPPED
    assert history.executors[0].done == ["start", stop_within(320)]


@pytest.mark.parametrize("state", [state for state in ExecutorState if state in STATES_TO_REPLACE - STATES_TO_DRAIN])
def test_an_executor_that_fails_is_ended_and_replaced_by_a_new_one(state: ExecutorState) -> None:
    history = History([RUNNING, state], [RUNNING])
    assert history.play() == EXIT_STOPPED
    first, second = history.executors
    assert first.done == ["start", "end"]
    assert second.done == ["start", stop_within(320)]
    assert history.supervisor.executor_id() == second.executor_id != first.executor_id
    assert history.restarts(state) == 1


@pytest.mark.parametrize("state", [state for state in ExecutorState if state in STATES_TO_DRAIN])
def test_what_runs_in_a_child_that_is_well_may_finish_first(state: ExecutorState) -> None:
    history = History([state], [RUNNING])
    assert history.play() == EXIT_STOPPED
    assert history.executors[0].done == ["start", stop_within(300)]
    assert history.restarts(state) == 1


def test_a_stop_asked_for_during_a_long_drain_shortens_it_to_the_shutdown_grace() -> None:
    history = History([ExecutorState.HUNG], [RUNNING], shutdown_grace_seconds=50.0)
    ends: list[float] = []

    def stop(latest_end: Callable[[], float]) -> None:
        ends.append(latest_end() - time.monotonic())
        history.stop_asked.set()
        ends.append(latest_end() - time.monotonic())

    history.executors[0].stop = stop  # type: ignore[method-assign]  # the signal comes while it drains
    assert history.play() == EXIT_STOPPED
    assert ends == [about(300), about(50)]


def test_without_heartbeats_the_process_is_gone_before_its_lease_is_over() -> None:
    history = History([RUNNING] * 10)
    assert history.play(ScriptedPart(dies_at_look=3, name=HEARTBEAT)) == EXIT_PART_DIED
    assert history.executors[0].done == ["start", stop_within(20)]


@pytest.mark.parametrize("state", [ExecutorState.STARTING, RUNNING])
def test_an_executor_that_is_well_is_left_alone(state: ExecutorState) -> None:
    history = History([state] * 5)
    assert history.play() == EXIT_STOPPED
    assert len(history.executors) == 1


def test_an_executor_that_keeps_failing_ends_the_process() -> None:
    history = History(*([[ExecutorState.CHILD_DIED]] * (MAX_RESTARTS + 2)))
    assert history.play() == EXIT_PART_DIED
    assert len(history.executors) == MAX_RESTARTS + 1
    assert history.executors[-1].done == ["start", "end"], "what it had in flight is given back all the same"


def test_failures_far_apart_do_not_end_the_process() -> None:
    history = History(*([[ExecutorState.CHILD_DIED]] * (MAX_RESTARTS + 5)), [RUNNING], restart_window_seconds=0)
    assert history.play() == EXIT_STOPPED
    assert len(history.executors) == MAX_RESTARTS + 6


def test_a_dead_part_ends_the_process_in_good_order() -> None:
    history = History([RUNNING] * 10)
    assert history.play(ScriptedPart(dies_at_look=3)) == EXIT_PART_DIED
    assert history.executors[0].done == ["start", stop_within(320)]


@pytest.mark.parametrize("error", [redis.ConnectionError("away"), PlatformUnavailable("heartbeat", "HTTP 503")])
def test_an_executor_that_cannot_register_is_started_again_until_it_can(error: Exception) -> None:
    history = History([RUNNING], start_errors=[error, error])
    assert history.play() == EXIT_STOPPED
    assert history.executors[0].done == ["start"] * 3 + [stop_within(320)]


def test_a_stop_before_the_first_start_starts_nothing() -> None:
    history = History([RUNNING])
    history.stop_asked.set()
    assert history.play() == EXIT_STOPPED
    assert "start" not in history.executors[0].done


def test_a_bug_in_starting_is_not_waited_out() -> None:
    history = History([RUNNING], start_errors=[KeyError("a bug")])
    with pytest.raises(KeyError):
        history.play()


@pytest.mark.parametrize(
    ("state", "consumer_alive", "celery_alive"),
    [
        (ExecutorState.STARTING, False, False),
        (ExecutorState.RUNNING, True, True),
        (ExecutorState.HUNG, True, False),
        (ExecutorState.CONSUMER_DIED, False, True),
        (ExecutorState.LINK_DIED, False, False),
        (ExecutorState.STDERR_UNREAD, False, False),
        (ExecutorState.CHILD_DIED, False, False),
        (ExecutorState.NEVER_READY, False, False),
        (ExecutorState.DECLARED_DEAD, False, False),
    ],
)
def test_the_health_board_shows_which_part_of_the_executor_works(
    state: ExecutorState, *, consumer_alive: bool, celery_alive: bool
) -> None:
    history = History([RUNNING])
    history.supervisor._publish(state)
    parts = history.board.report().parts
    assert (parts[Component.CONSUMER], parts[Component.CELERY]) == (consumer_alive, celery_alive)
    assert history.registry.get_sample_value("wearon_tasks_in_flight") == 3


def test_while_stopping_it_is_shown_as_draining_and_not_as_broken() -> None:
    history = History([RUNNING])
    for component in Component:
        history.board.part(component, up=True)
    history.play()
    report = history.board.report()
    assert (report.draining, report.status) == (True, "ok")


def test_a_dead_part_shows_while_what_runs_may_end_and_a_stop_then_counts_as_draining() -> None:
    history = History([RUNNING] * 10)
    for component in Component:
        history.board.part(component, up=True)
    seen: list[tuple[object, bool, str]] = []

    def stop(latest_end: Callable[[], float]) -> None:
        for _ in range(2):
            latest_end()
            report = history.board.report()
            seen.append((report.degraded, report.draining, report.status))
            history.stop_asked.set()

    history.executors[0].stop = stop  # type: ignore[method-assign]  # the signal comes while it drains
    assert history.play(ScriptedPart(dies_at_look=3)) == EXIT_PART_DIED
    assert seen == [((Component.CONSUMER,), False, "degraded"), ((), True, "ok")]


def test_an_executor_that_is_drained_to_be_replaced_is_shown_as_broken() -> None:
    history = History([RUNNING, ExecutorState.HUNG], [RUNNING])
    for component in Component:
        history.board.part(component, up=True)
    seen: list[object] = []

    def stop(latest_end: Callable[[], float]) -> None:
        seen.append(history.board.report().degraded)

    history.executors[0].stop = stop  # type: ignore[method-assign]  # what is seen while it drains
    history.play()
    assert seen == [(Component.CELERY,)]


def test_the_worker_is_starting_until_its_first_executor_runs() -> None:
    history = History([ExecutorState.STARTING, RUNNING])
    history.board.starting(value=True)
    history.supervisor._publish(ExecutorState.STARTING)
    before = history.board.report().starting
    history.supervisor._publish(RUNNING)
    history.supervisor._publish(ExecutorState.CHILD_DIED)
    assert (before, history.board.report().starting) == (True, False)


@pytest.mark.parametrize(
    ("error", "component"),
    [
        (redis.ConnectionError("away"), Component.REDIS),
        (PlatformUnavailable("heartbeat", "HTTP 503"), Component.DATABASE),
    ],
)
def test_what_keeps_an_executor_from_starting_is_shown_until_it_started(error: Exception, component: Component) -> None:
    history = History([RUNNING], start_errors=[error])
    start, seen = history.executors[0].start, []

    def watched_start() -> None:
        seen.append(history.board.report().parts[component])
        start()

    for each in (Component.REDIS, Component.DATABASE):
        history.board.part(each, up=True)
    history.executors[0].start = watched_start  # type: ignore[method-assign]
    history.play()
    assert [*seen, history.board.report().parts[component]] == [True, False, True]


def test_a_heartbeat_is_for_the_executor_of_the_moment() -> None:
    history = History([ExecutorState.CHILD_DIED], [RUNNING])
    history.play()
    history.supervisor.renew_lease()
    assert [executor.done.count("renew lease") for executor in history.executors] == [0, 1]


def test_a_stop_from_another_thread_ends_the_run() -> None:
    history = History([RUNNING] * 1_000_000)
    status: list[int] = []
    running = threading.Thread(target=lambda: status.append(history.play()))
    running.start()
    history.stop_asked.set()
    running.join(30)
    assert status == [EXIT_STOPPED]
