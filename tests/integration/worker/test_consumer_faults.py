"""Faults of ours inside the consumer's world: a run that broke, and a bad element whose settling breaks."""

from collections.abc import Iterator
from contextlib import closing
from typing import cast
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from config.settings import Settings
from sandbox.platform.producer import QUEUE_KEY
from services.queue.connection import connect
from services.queue.task_queue import TaskQueue
from tests.support.worker import QUICK_SETTINGS, Stage, wait_until
from worker.celery_app import create_celery_app
from worker.health import HealthBoard
from worker.intake.consumer import Consumer
from worker.intake.dispatches import DispatchLedger
from worker.intake.publishing import Publisher
from worker.link import RunBroke, RunStarted
from worker.queue_elements import TRANSFER_LIMITS
from worker.samples import ErrorUnforeseen, LetterBuried, Sample
from worker.settlement.settle import Settlement

pytest_plugins = ["tests.support.worker_fixtures"]


class BrokenSettlement:
    """Settles nothing: a bug."""

    def fail_unowned(self, *_: object) -> None:
        raise KeyError("outcome")


class Bench:
    """A consumer over a real Redis, whose rounds the test does itself."""

    def __init__(self, stage: Stage) -> None:
        self.executor: UUID = uuid4()
        self.dispatcher = DispatchLedger(capacity=8)
        self.measured: list[Sample] = []
        settings = Settings.model_validate(
            {name.lower(): value for name, value in stage.world.settings(**QUICK_SETTINGS).items()}
        )
        self.publisher = Publisher(create_celery_app(settings, self.executor))
        self.consumer = Consumer(
            executor=self.executor,
            queue=TaskQueue(connect(settings.redis_url, reply_limit_bytes=TRANSFER_LIMITS.whole_bytes)),
            publisher=self.publisher,
            dispatcher=self.dispatcher,
            settlement=cast(Settlement, BrokenSettlement()),
            record=self.measured.append,
            board=HealthBoard(),
        )

    def close(self) -> None:
        self.consumer.close()
        self.publisher.close()


@pytest.fixture
def bench(stage: Stage) -> Iterator[Bench]:
    stage.platform.wipe()
    stage.redis.flushall()
    with closing(Bench(stage)) as bench:
        yield bench


def test_the_task_of_a_run_that_broke_is_buried_and_not_dispatched_again(stage: Stage, bench: Bench) -> None:
    submitted = stage.platform.submit_b2c([stage.photo])
    bench.consumer.round()
    [dispatch_id] = list(bench.dispatcher._dispatches)
    bench.dispatcher.receive(RunStarted(dispatch_id))
    bench.dispatcher.receive(RunBroke(dispatch_id, "KeyError"))
    stage.redis.lpush(QUEUE_KEY, "no task")  # so that the round has something to take
    with capture_logs() as lines:
        bench.consumer.round()
    assert (bench.dispatcher.count(), stage.in_flight(bench.executor)) == (0, [])
    letter = next(letter for letter in stage.dead_letters() if letter["reason"] == "bad_task")
    assert letter["session_ids"] == [str(submitted.session.session_id)]
    assert letter["text"] == submitted.payload, "an operator can replay it"
    assert "KeyError" in letter["detail"]
    assert LetterBuried("bad_task") in bench.measured
    assert [line["log_level"] for line in lines if line["event"] == "broken_run_buried"] == ["error"]


def test_an_error_nobody_foresaw_while_a_bad_element_is_settled_is_logged_and_counted(
    stage: Stage, bench: Bench
) -> None:
    stage.redis.lpush(QUEUE_KEY, f'{{"session_id": "{uuid4()}"}}')
    with capture_logs() as lines:
        bench.consumer.round()
        wait_until(lambda: ErrorUnforeseen("bad_elements") in bench.measured, "the error is counted")
    [line] = [line for line in lines if line["event"] == "bad_element_not_settled"]
    assert line["log_level"] == "error"
    assert isinstance(line["exc_info"], KeyError)
