"""A Celery that hangs is replaced; one that cannot live ends the process."""

import os
import signal
import threading
from collections.abc import Iterator

import psutil
import pytest
from prometheus_client import CollectorRegistry

from config.settings import Settings
from models.generation import SessionStatus
from services.supabase_client import SupabaseClient
from tests.support.worker import QUICK_SETTINGS, WAIT_SECONDS, Stage, wait_until
from worker.celery_app import create_celery_app, queue_name
from worker.executor import Executor
from worker.health import HealthBoard
from worker.metrics import Metrics
from worker.supervisor import EXIT_PART_DIED, EXIT_STOPPED, MAX_RESTARTS, Supervisor

pytest_plugins = ["tests.support.worker_fixtures"]

HANG_SECONDS = 0.5
"""In place of 30."""


@pytest.fixture(scope="module")
def settings(stage: Stage) -> Iterator[Settings]:
    """Settings in the environment, where the Celery child looks for them too; nobody renews the lease here."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in stage.world.settings(**{**QUICK_SETTINGS, "WORKER_LEASE_SECONDS": "60"}).items():
            environment.setenv(name, value)
        yield Settings(_env_file=None)


@pytest.fixture(scope="module")
def metrics() -> Metrics:
    """Counters of the supervisor under test."""
    return Metrics(CollectorRegistry())


@pytest.fixture(scope="module")
def supervisor(settings: Settings, metrics: Metrics) -> Iterator[Supervisor]:
    """The real supervisor over real Celery children, running in a thread, with less patience than in production."""
    store = SupabaseClient(settings.supabase_url, settings.supabase_service_role_key.get_secret_value())
    board = HealthBoard()
    supervisor = Supervisor(
        lambda: Executor(
            settings, store, board, metrics, hang_seconds=HANG_SECONDS, idle_exit_seconds=2 * HANG_SECONDS
        ),
        board=board,
        metrics=metrics,
        shutdown_grace_seconds=WAIT_SECONDS,
        hang_grace_seconds=WAIT_SECONDS,
    )
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(supervisor.run([])))
    thread.start()
    try:
        wait_until(lambda: board.report().celery_alive, "Celery is ready")
        yield supervisor
    finally:
        supervisor.stop()
        thread.join(2 * WAIT_SECONDS)
        store.close()
    assert statuses == [EXIT_STOPPED]


def celery_children() -> list[psutil.Process]:
    """The Celery children of this process."""
    return [child for child in psutil.Process().children() if "worker.celery_process" in child.cmdline()]


def restarts(metrics: Metrics, reason: str) -> float:
    """How many children were replaced for this reason."""
    return float(metrics.executor_restarts.labels(reason)._value.get())


def test_a_celery_that_consumes_nothing_while_tasks_wait_is_replaced_after_what_runs_has_ended(
    stage: Stage, settings: Settings, supervisor: Supervisor, metrics: Metrics
) -> None:
    """Told to consume nothing by its own remote control, it is as alive as in celery #8030, #9054 and #10205."""
    running = stage.submit("[[sim:latency=2]] runs when Celery stops consuming")
    stage.wait_for_status("processing", running)
    hangs_before, hung = restarts(metrics, "hung"), supervisor.executor_id()
    with create_celery_app(settings, hung) as celery:
        celery.control.cancel_consumer(queue_name(hung), reply=True)
    waiting = stage.submit("waits for a Celery that consumes")
    rows = stage.wait_for(running, waiting)
    assert [row.status for row in rows] == [SessionStatus.COMPLETED] * 2
    assert [stage.claim(session)["attempt"] for session in (running, waiting)] == [1, 1]
    assert supervisor.executor_id() != hung
    assert restarts(metrics, "hung") == hangs_before + 1


def test_a_celery_that_is_frozen_is_killed_and_replaced(stage: Stage, supervisor: Supervisor, metrics: Metrics) -> None:
    hangs_before = restarts(metrics, "hung")
    [child] = celery_children()
    child.suspend()
    waiting = stage.submit("given to a frozen Celery")
    [row] = stage.wait_for(waiting)
    assert row.status is SessionStatus.COMPLETED
    assert stage.claim(waiting)["attempt"] == 1
    assert not child.is_running()
    assert restarts(metrics, "hung") == hangs_before + 1


def test_a_celery_child_that_dies_again_and_again_ends_the_worker_with_an_error_status(stage: Stage) -> None:
    worker = stage.worker()
    worker.launch()
    for number in range(MAX_RESTARTS + 1):
        started = worker.wait_for_line("executor_started", count=number + 1)
        os.kill(started["pid"], signal.SIGKILL)
    assert worker.wait(WAIT_SECONDS) == EXIT_PART_DIED
    assert worker.lines("executor_keeps_failing", level="critical")
