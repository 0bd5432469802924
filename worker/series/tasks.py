"""Series about tasks on their way: what waits, what is taken, what was buried and what was taken over."""

from collections.abc import Callable
from typing import assert_never, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from worker.executor_state import STATES_TO_REPLACE, ExecutorState
from worker.samples import (
    BURIAL_REASONS,
    ErrorUnforeseen,
    LetterBuried,
    RecoveryAction,
    SettlementRefused,
    TasksRecovered,
    UnforeseenPlace,
)
from worker.series.fresh_gauge import WATCHED_FRESH_SECONDS, FreshGauge

TaskSample = LetterBuried | TasksRecovered | SettlementRefused | ErrorUnforeseen


class TaskSeries:
    """Entered with ``record``, and with ``show_…`` what somebody asked for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._backlog = FreshGauge(
            registry,
            "wearon_backlog",
            "Tasks waiting in the platform's queue; absent while unknown.",
            fresh_seconds=WATCHED_FRESH_SECONDS,
        )
        self._oldest_waiting = FreshGauge(
            registry,
            "wearon_oldest_waiting_seconds",
            "Age of the task that has waited longest, 0 when none waits; absent while unknown.",
            fresh_seconds=WATCHED_FRESH_SECONDS,
        )
        self._in_flight = Gauge("wearon_tasks_in_flight", "Tasks taken and not finished.", registry=registry)
        self._dead_letters = Counter("wearon_dead_letters", "Bad queue elements.", ["reason"], registry=registry)
        self._recovered = Counter(
            "wearon_recovered",
            "Tasks given back after a death, and sessions settled that had lost theirs.",
            ["action"],
            registry=registry,
        )
        self._settlement_refused = Counter(
            "wearon_settlement_refused",
            "How often the database refused to settle a session that has lost its task; recovery tries again.",
            registry=registry,
        )
        self._executor_restarts = Counter(
            "wearon_executor_restarts", "Celery processes replaced.", ["reason"], registry=registry
        )
        self._unforeseen = Counter(
            "wearon_unforeseen_errors", "Faults of ours that were survived.", ["where"], registry=registry
        )
        self._start_at_zero()

    def _start_at_zero(self) -> None:
        for counter, values in (
            (self._dead_letters, BURIAL_REASONS),
            (self._recovered, get_args(RecoveryAction)),
            (self._executor_restarts, [state.value for state in STATES_TO_REPLACE]),
            (self._unforeseen, get_args(UnforeseenPlace)),
        ):
            for value in values:
                counter.labels(value)

    def record(self, sample: TaskSample) -> None:
        """Enter one sample."""
        match sample:
            case LetterBuried(reason):
                self._dead_letters.labels(reason).inc()
            case TasksRecovered(action, count):
                self._recovered.labels(action).inc(count)
            case SettlementRefused():
                self._settlement_refused.inc()
            case ErrorUnforeseen(where):
                self._unforeseen.labels(where).inc()
            case _:
                assert_never(sample)

    def executor_replaced(self, state: ExecutorState) -> None:
        """Count that a Celery process was replaced for this."""
        self._executor_restarts.labels(state.value).inc()

    def show_waiting(self, count: int | None, oldest_seconds: float | None) -> None:
        """Enter how many tasks wait and for how long the oldest has; ``None``: nobody knows."""
        self._backlog.set(count)
        self._oldest_waiting.set(oldest_seconds)

    def show_in_flight(self, count: Callable[[], int]) -> None:
        """Have every scrape ask how many tasks are taken and not finished."""
        self._in_flight.set_function(lambda: float(count()))
