"""A worker that reaches the real Supabase API through a gateway which can be told to misbehave."""

from collections.abc import Iterator

import pytest

from models.generation import SessionStatus
from tests.support.platform_proxy import PlatformProxy
from tests.support.refused_platform import AGAIN_SECONDS, CONCURRENCY
from tests.support.worker import Stage, Worker, wait_until


@pytest.fixture(scope="module")
def proxy(stage: Stage) -> Iterator[PlatformProxy]:
    with PlatformProxy(stage.world.supabase.url) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def worker(stage: Stage, proxy: PlatformProxy) -> Worker:
    """One worker for the whole module: it must survive everything."""
    worker = stage.worker(
        SUPABASE_URL=proxy.url,
        WORKER_CONCURRENCY=str(CONCURRENCY),
        PLATFORM_PAUSE_SECONDS="2",
        ORPHAN_GRACE_SECONDS="3",
    )
    worker.start()
    return worker


@pytest.fixture(autouse=True)
def _all_is_well_afterwards(stage: Stage, worker: Worker, proxy: PlatformProxy) -> Iterator[None]:
    pid = worker.pid
    yield
    proxy.forward_all()
    [row] = stage.wait_for(stage.submit("as if nothing had been"), timeout_seconds=AGAIN_SECONDS)
    assert row.status is SessionStatus.COMPLETED
    wait_until(lambda: worker.health()["status"] == "ok", "the health check tells that all is well")
    wait_until(lambda: not stage.in_flight(worker.executor()), "nothing in flight")
    assert (worker.is_running, worker.pid) == (True, pid)
    assert worker.lines("run_broke") == worker.lines("unexpected_failure") == []
    assert stage.wrong_books() == []
    stage.redis.delete("wearon:tasks:dead")
