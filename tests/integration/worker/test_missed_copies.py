"""What the consumer makes of in-flight copies that were moved by a command whose reply was lost."""

from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import pytest

from config.settings import Settings
from sandbox.platform.producer import QUEUE_KEY
from services.platform.supabase_client import SupabaseClient
from services.queue.connection import connect
from services.queue.task_queue import TaskQueue
from tests.support.worker import QUICK_SETTINGS, Stage
from worker.celery_app import create_celery_app
from worker.health import HealthBoard
from worker.intake.consumer import Consumer
from worker.intake.dispatches import DispatchLedger
from worker.intake.publishing import Publisher
from worker.queue_elements import TRANSFER_LIMITS
from worker.settlement.settle import Settlement

pytest_plugins = ["tests.support.worker_fixtures"]


@pytest.fixture
def store(stage: Stage) -> Iterator[SupabaseClient]:
    with closing(SupabaseClient(stage.world.supabase.url, stage.world.supabase.service_role_key)) as store:
        yield store


def test_the_second_of_two_equal_tasks_is_found_wherever_its_copy_stands_in_the_list(
    stage: Stage, store: SupabaseClient
) -> None:
    """One was dispatched, so one copy is accounted for and not one on every page."""
    stage.platform.wipe()
    stage.redis.flushall()
    settings = Settings.model_validate(
        {name.lower(): value for name, value in stage.world.settings(**QUICK_SETTINGS).items()}
    )
    executor, dispatcher = uuid4(), DispatchLedger(capacity=8)
    queue = TaskQueue(connect(settings.redis_url, reply_limit_bytes=TRANSFER_LIMITS.whole_bytes), page_elements=1)
    consumer = Consumer(
        executor=executor,
        queue=queue,
        publisher=Publisher(create_celery_app(settings, executor)),
        dispatcher=dispatcher,
        settlement=Settlement(store, lambda _: None),
        record=lambda _: None,
        board=HealthBoard(),
    )
    element = stage.platform.submit_b2c([stage.photo], push=False).payload
    stage.redis.lpush(QUEUE_KEY, element, element)
    consumer.round()
    assert queue.take(executor) == element.encode(), "moved, and nobody knows"
    assert (dispatcher.count(), len(stage.in_flight(executor))) == (1, 2)
    for _ in range(2):
        consumer._reconcile()
        assert dispatcher.count() == 2
    consumer.close()
