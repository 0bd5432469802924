"""A broker that is full (``noeviction``) answers PING and takes nothing: told as such, and nobody is replaced."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from models.generation import SessionStatus
from sandbox.servers.redis import LocalRedis
from tests.support.worker import Stage, Worker, wait_until
from worker.supervision.queue_watch import QueueWatch

pytest_plugins = ["tests.support.worker_fixtures"]

NOTICED_SECONDS = QueueWatch.INTERVAL_SECONDS + QueueWatch.TIMEOUT_SECONDS + 5.0
"""Until the health check tells, and some for a busy machine."""

NO_MEMORY = "1"
"""Bytes that Redis may use: less than an empty one does. 0 is no limit."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRedis]:
    with LocalRedis(tmp_path_factory.mktemp("broker"), append_fsync="no") as server:
        yield server


@pytest.fixture(scope="module")
def worker(stage: Stage, broker: LocalRedis) -> Worker:
    worker = stage.worker("full", CELERY_BROKER_URL=broker.url)
    worker.start()
    wait_until(lambda: worker.health()["status"] == "ok", "all parts of the worker are there")
    return worker


def refusals_of_celery(worker: Worker) -> list[dict[str, Any]]:
    """What Celery itself said of the broker's memory."""
    return [line for line in worker.lines() if "maxmemory" in line["event"] and line["process"] == "celery"]


def test_a_full_broker_is_told_in_its_own_words_and_when_there_is_room_again_everything_is_done_by_the_same_executor(
    stage: Stage, broker: LocalRedis, worker: Worker
) -> None:
    executor = worker.executor()
    with redis.Redis.from_url(broker.url) as server:
        server.config_set("maxmemory", NO_MEMORY)
        waiting = [stage.submit(f"for a full broker {number}") for number in range(3)]
        line = worker.wait_for_line("part_down", part="broker", level="error")
        assert "used memory > 'maxmemory'" in line["reason"]
        assert worker.health()["degraded"] == ["broker"]
        worker.wait_for_line("consumer_error", count=3)
        server.config_set("maxmemory", "0")
    rows = stage.wait_for(*waiting)
    assert [row.status for row in rows] == [SessionStatus.COMPLETED] * 3
    wait_until(lambda: worker.health()["status"] == "ok", "the health check tells", NOTICED_SECONDS)
    assert worker.executor() == executor
    assert not worker.lines("executor_failed")


def test_a_celery_whose_connection_breaks_while_the_broker_is_full_waits_instead_of_ending(
    stage: Stage, broker: LocalRedis, worker: Worker
) -> None:
    executor = worker.executor()
    before = len(refusals_of_celery(worker))
    with redis.Redis.from_url(broker.url) as server:
        server.config_set("maxmemory", NO_MEMORY)
        server.client_kill_filter(_type="normal", skipme=True)
        refused = wait_until(lambda: refusals_of_celery(worker)[before:], "Celery is refused when it connects again")
        assert refused[0]["level"] == "error"
        server.config_set("maxmemory", "0")
    [row] = stage.wait_for(stage.submit("with room again"))
    assert row.status is SessionStatus.COMPLETED
    assert worker.executor() == executor
    assert not [line for line in worker.lines() if "In Celery 5.1" in line["event"]], "decided, and not warned of"
