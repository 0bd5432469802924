"""Executors with a real Celery process: what they do with a run that is given back, what they leave in the end."""

from collections.abc import Iterator

import pytest
import structlog
from kombu import pools
from prometheus_client import CollectorRegistry

from config.settings import Settings
from models.generation import SessionStatus
from services.platform.supabase_client import SupabaseClient
from services.queue.connection import BLOCKING_POP_SECONDS
from tests.support.worker import HELD, QUICK_SETTINGS, Stage, wait_until
from worker.executor_state import ExecutorState
from worker.health import HealthBoard
from worker.link import RunReturned
from worker.metrics import Metrics
from worker.supervision.executor import Executor

pytest_plugins = ["tests.support.worker_fixtures"]

EXECUTORS = 3


@pytest.fixture(scope="module")
def settings(stage: Stage) -> Iterator[Settings]:
    """Settings in the environment, where the Celery child looks for them too; nobody renews the lease here."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in stage.world.settings(**{**QUICK_SETTINGS, "WORKER_LEASE_SECONDS": "60"}).items():
            environment.setenv(name, value)
        yield Settings(_env_file=None)


@pytest.fixture
def store(settings: Settings) -> Iterator[SupabaseClient]:
    store = SupabaseClient(settings.supabase_url, settings.supabase_service_role_key.get_secret_value())
    yield store
    store.close()


def connections(stage: Stage) -> int:
    """How many Redis has, but for the one that asks."""
    return len(stage.redis.client_list()) - 1  # type: ignore[arg-type] # redis-py types both of its clients as one


def test_executors_that_came_and_went_leave_no_connection_no_key_and_no_pool(
    stage: Stage, settings: Settings, store: SupabaseClient
) -> None:
    """Each ran a task and had its Celery process killed, as a replaced one has."""
    stage.submit("the stage's own connections are open, and its rate window is there")
    stage.redis.rpop("wearon:tasks:generation")
    connections_before, pools_before = connections(stage), len(pools.connections) + len(pools.producers)
    for number in range(EXECUTORS):
        executor = Executor(settings, store, HealthBoard(), Metrics(CollectorRegistry()), leases=store)
        executor.start()
        wait_until(lambda executor=executor: executor.state() is ExecutorState.RUNNING, "Celery is ready")  # type: ignore[misc]
        [row] = stage.wait_for(stage.submit(f"run by number {number}"))
        assert row.status is SessionStatus.COMPLETED
        wait_until(lambda executor=executor: executor.in_flight() == 0, "its copy is dropped")  # type: ignore[misc]
        executor.end()
    wait_until(lambda: connections(stage) == connections_before, "their connections are closed")
    assert len(pools.connections) + len(pools.producers) == pools_before
    keys: list[bytes] = stage.redis.keys("*")  # type: ignore[assignment]
    left = [key for key in keys if not key.startswith(b"wearon:provider:")]
    assert left in ([], [b"wearon:health"])


def test_a_run_that_celery_gives_back_is_dispatched_again_at_once_though_the_queue_is_idle(
    stage: Stage, settings: Settings, store: SupabaseClient
) -> None:
    executor = Executor(settings, store, HealthBoard(), Metrics(CollectorRegistry()), leases=store)
    executor.start()
    try:
        wait_until(lambda: executor.state() is ExecutorState.RUNNING, "Celery is ready")
        session = stage.submit(f"{HELD} given back while it runs")
        stage.wait_until_held(1)
        [dispatch] = executor._dispatcher._dispatches.values()
        with structlog.testing.capture_logs() as lines:
            executor._receive(RunReturned(dispatch.dispatch_id))
            [taken] = wait_until(
                lambda: executor.state() and [line for line in lines if line["event"] == "task_taken"],
                "it is dispatched again",
                BLOCKING_POP_SECONDS * 3 / 4,
            )
        assert taken["again"]
        assert "consumer_error" not in {line["event"] for line in lines}
        stage.release()
        stage.wait_for(session)
    finally:
        executor.end()
