"""A Celery that hangs is replaced; one that cannot live ends the process."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psutil
import pytest
import redis
from prometheus_client import CollectorRegistry

from config.settings import Settings
from models.generation import SessionStatus
from models.health import Component
from services.platform.supabase_client import SupabaseClient
from tests.support.worker import HELD, QUICK_SETTINGS, WAIT_SECONDS, Stage, Worker, wait_until
from worker.celery_app import queue_name
from worker.health import HealthBoard
from worker.metrics import Metrics
from worker.samples import Sample
from worker.supervision.executor import Executor
from worker.supervision.supervisor import EXIT_PART_DIED, EXIT_STOPPED, MAX_RESTARTS, Supervisor

pytest_plugins = ["tests.support.worker_fixtures"]

HANG_SECONDS = 2.0
"""In place of 30."""


@pytest.fixture(scope="module")
def settings(stage: Stage) -> Iterator[Settings]:
    """Settings in the environment, where the Celery child looks for them too; nobody renews the lease here."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in stage.world.settings(**{**QUICK_SETTINGS, "WORKER_LEASE_SECONDS": "60"}).items():
            environment.setenv(name, value)
        yield Settings(_env_file=None)


@pytest.fixture(scope="module")
def registry() -> CollectorRegistry:
    """What the supervisor under test has counted."""
    return CollectorRegistry()


@pytest.fixture(scope="module")
def metrics(registry: CollectorRegistry) -> Metrics:
    """Counters of the supervisor under test."""
    return Metrics(registry)


@pytest.fixture(scope="module")
def supervisor(settings: Settings, metrics: Metrics) -> Iterator[Supervisor]:
    """The real supervisor over real Celery children, running in a thread, with less patience than in production."""
    store = SupabaseClient(settings.supabase_url, settings.supabase_service_role_key.get_secret_value())
    board = HealthBoard()
    stop_asked = threading.Event()
    supervisor = Supervisor(
        lambda: Executor(
            settings,
            store,
            board,
            metrics,
            leases=store,
            hang_seconds=HANG_SECONDS,
            idle_exit_seconds=2 * HANG_SECONDS,
        ),
        board=board,
        metrics=metrics,
        shutdown_grace_seconds=WAIT_SECONDS,
        hang_grace_seconds=WAIT_SECONDS,
        lease_seconds=settings.worker_lease_seconds,
        stop_asked=stop_asked,
    )
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(supervisor.run([])))
    thread.start()
    try:
        wait_until(lambda: board.report().parts[Component.CELERY], "Celery is ready")
        yield supervisor
    finally:
        stop_asked.set()
        thread.join(2 * WAIT_SECONDS)
        store.close()
    assert statuses == [EXIT_STOPPED]


@pytest.fixture(scope="module", autouse=True)
def crashing(stage: Stage) -> Iterator[tuple[Worker, Future[int]]]:
    """A worker whose Celery cannot live, beside the other tests of the module: it needs a while to give up, and takes
    none of their tasks meanwhile.
    """
    worker = stage.worker(REDIS_URL=another_database(stage.world.redis.url))
    with ThreadPoolExecutor(1) as background:
        yield worker, background.submit(crash_again_and_again, worker)


def another_database(redis_url: str) -> str:
    """Of the same server, which nobody else uses."""
    return redis_url.removesuffix("/0") + "/1"


def celery_children() -> list[psutil.Process]:
    """The Celery children of this process."""
    return [child for child in psutil.Process().children() if "worker.execution.process" in child.cmdline()]


def patient(url: str) -> redis.Redis:
    """A client that waits for an answer as long as a test does."""
    return redis.Redis.from_url(url, socket_timeout=2 * WAIT_SECONDS)


def idle_pops(stage: Stage) -> list[str]:
    """For each pop that blocks, for how many seconds it has."""
    clients: list[dict[str, str]] = stage.redis.client_list()  # type: ignore[assignment] # redis-py types both as one
    return [client["idle"] for client in clients if client["cmd"] == "brpop"]


def restarts(registry: CollectorRegistry, reason: str) -> float:
    """How many children were replaced for this reason."""
    return registry.get_sample_value("wearon_executor_restarts_total", {"reason": reason}) or 0


def test_a_celery_that_consumes_nothing_while_tasks_wait_is_replaced_after_what_runs_has_ended(
    stage: Stage, settings: Settings, supervisor: Supervisor, registry: CollectorRegistry
) -> None:
    """Somebody else gets what is meant for it, so it looks as in celery #8030, #9054 and #10205: alive, and idle."""
    running = stage.submit(f"{HELD} runs when Celery stops consuming")
    stage.wait_until_held(1)
    hangs_before, hung = restarts(registry, "hung"), supervisor.executor_id()
    with ThreadPoolExecutor(1) as thief:
        stolen = thief.submit(patient(stage.world.redis.url).brpop, [queue_name(hung)], WAIT_SECONDS)
        # Redis serves whoever waits longest, and Celery's own pop begins anew every second.
        wait_until(lambda: any(int(idle) >= 2 for idle in idle_pops(stage)), "the thief is first in the line")
        waiting = stage.submit("waits for a Celery that consumes")
        assert stolen.result() is not None
    stage.release()
    rows = stage.wait_for(running, waiting)
    assert [row.status for row in rows] == [SessionStatus.COMPLETED] * 2
    assert [stage.claim(session)["attempt"] for session in (running, waiting)] == [1, 1]
    assert supervisor.executor_id() != hung
    assert restarts(registry, "hung") == hangs_before + 1


def test_a_celery_that_is_frozen_is_killed_and_replaced(
    stage: Stage, supervisor: Supervisor, registry: CollectorRegistry
) -> None:
    hangs_before = restarts(registry, "hung")
    [child] = celery_children()
    child.suspend()
    waiting = stage.submit("given to a frozen Celery")
    [row] = stage.wait_for(waiting)
    assert row.status is SessionStatus.COMPLETED
    assert stage.claim(waiting)["attempt"] == 1
    assert not child.is_running()
    assert restarts(registry, "hung") == hangs_before + 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_executor_whose_child_nobody_listens_to_is_replaced_after_what_runs_has_ended(
    stage: Stage,
    supervisor: Supervisor,
    metrics: Metrics,
    registry: CollectorRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unheard, deaths_before = supervisor.executor_id(), restarts(registry, "link_died")
    running = stage.submit(f"{HELD} runs when the link dies")
    stage.wait_until_held(1)

    def end_this_thread(_: Sample) -> None:
        monkeypatch.undo()
        raise SystemExit

    monkeypatch.setattr(metrics, "record", end_this_thread)
    [last_told] = stage.wait_for(stage.submit("the link dies when it tells of this one"))
    wait_until(lambda: restarts(registry, "link_died") == deaths_before + 1, "the link's death is noticed")
    assert (supervisor.executor_id(), stage.platform.session(running).status) == (unheard, SessionStatus.PROCESSING)
    stage.release()
    [row] = stage.wait_for(running)
    wait_until(lambda: supervisor.executor_id() != unheard, "the executor is replaced")
    after = stage.submit("given to the executor after it")
    [row_after] = stage.wait_for(after)
    assert [each.status for each in (last_told, row, row_after)] == [SessionStatus.COMPLETED] * 3
    assert [stage.claim(session)["attempt"] for session in (running, after)] == [1, 1]
    assert restarts(registry, "link_died") == deaths_before + 1


def crash_again_and_again(worker: Worker) -> int:
    """Kill every Celery child as soon as it is started; the exit status of the worker that gives up."""
    worker.launch()
    for number in range(MAX_RESTARTS + 1):
        started = worker.wait_for_line("executor_started", count=number + 1)
        os.kill(started["pid"], signal.SIGKILL)
    return worker.wait(WAIT_SECONDS)


def test_a_celery_child_that_dies_again_and_again_ends_the_worker_with_an_error_status(
    crashing: tuple[Worker, Future[int]],
) -> None:
    worker, exit_status = crashing
    assert exit_status.result() == EXIT_PART_DIED
    assert worker.lines("executor_keeps_failing", level="critical")
    assert len(worker.lines("executor_failed", state="child_died")) == MAX_RESTARTS + 1
