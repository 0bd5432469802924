"""A whole worker over a Redis that fails over, as queue and as broker: it goes on within seconds and says what was."""

import time
from collections.abc import Iterator

import pytest

from models.generation import SessionStatus
from sandbox.platform.producer import Producer
from tests.support.failover import FailingOverRedis
from tests.support.worker import HELD, Stage, Worker, wait_until
from worker.supervision.queue_watch import QueueWatch

pytest_plugins = ["tests.support.worker_fixtures"]

NOTICED_SECONDS = QueueWatch.INTERVAL_SECONDS + QueueWatch.TIMEOUT_SECONDS + 5.0
"""Until the health check tells, and some for a busy machine."""

GOES_ON_SECONDS = 40.0
"""From when the name leads to the new primary: the consumer's 5 s, Celery's 5 s, a look every 10 s, a busy machine."""


@pytest.fixture(scope="module")
def failing_over(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FailingOverRedis]:
    with FailingOverRedis(tmp_path_factory.mktemp("failing-over")) as servers:
        yield servers


@pytest.fixture(scope="module")
def worker(stage: Stage, failing_over: FailingOverRedis) -> Worker:
    worker = stage.worker("failing-over", REDIS_URL=failing_over.url, CELERY_BROKER_URL=failing_over.url)
    worker.start()
    wait_until(lambda: worker.health()["status"] == "ok", "all parts of the worker are there")
    return worker


def test_a_worker_goes_on_within_seconds_with_the_new_primary_and_nothing_hangs(
    stage: Stage, failing_over: FailingOverRedis, worker: Worker
) -> None:
    pid, executor = worker.pid, worker.executor()
    with Producer(stage.world.postgres.dsn, failing_over.url) as platform:
        under_way = [
            platform.submit_b2c([stage.photo], prompt=f"{HELD} under way {number}").session for number in range(4)
        ]
        stage.wait_until_held(4)
    failing_over.promote_the_replica()
    wait_until(lambda: worker.health()["status"] == "degraded", "the health check tells", NOTICED_SECONDS)
    wait_until(lambda: set(worker.health()["degraded"]) >= {"redis", "broker"}, "it names both parts", NOTICED_SECONDS)
    for part in ("redis", "broker"):
        wait_until(
            lambda part=part: [  # type: ignore[misc]
                line for line in worker.lines("part_down", part=part, level="error") if "READONLY" in line["reason"]
            ],
            "the log says why",
        )
    stage.release()
    # Their pictures are stored while the copies cannot be dropped.
    assert [row.status for row in stage.wait_for(*under_way)] == [SessionStatus.COMPLETED] * 4

    failing_over.move_the_name()
    moved_at = time.monotonic()
    with Producer(stage.world.postgres.dsn, failing_over.url) as platform:
        later = [platform.submit_b2c([stage.photo], prompt=f"later {number}").session for number in range(4)]
    rows = stage.wait_for(*later, timeout_seconds=GOES_ON_SECONDS)
    assert [row.status for row in rows] == [SessionStatus.COMPLETED] * 4
    wait_until(lambda: worker.health()["status"] == "ok", "the health check tells that all is well", NOTICED_SECONDS)
    with failing_over.look() as redis:
        wait_until(lambda: not redis.llen(f"wearon:tasks:inflight:{executor}"), "no copy is left")
    assert time.monotonic() - moved_at < GOES_ON_SECONDS + NOTICED_SECONDS
    assert (worker.is_running, worker.pid, worker.executor()) == (True, pid, executor), "nothing was replaced"
    assert len(stage.provider_requests("under way")) == 4
    assert stage.wrong_books() == []
