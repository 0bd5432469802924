"""What the consumer does with the queue, and with what was given back, while the intake is stopped."""

from collections.abc import Iterator
from contextlib import closing
from uuid import UUID, uuid4

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
from worker.intake.stop import IntakeStop
from worker.link import RunReturned
from worker.queue_elements import TRANSFER_LIMITS
from worker.settlement.settle import Settlement

pytest_plugins = ["tests.support.worker_fixtures"]

PAUSE_SECONDS = 30.0


class Intake:
    """A consumer over the real queue, without Celery behind its broker."""

    def __init__(self, stage: Stage, store: SupabaseClient) -> None:
        settings = Settings.model_validate(
            {name.lower(): value for name, value in stage.world.settings(**QUICK_SETTINGS).items()}
        )
        self.now = 0.0
        self.stage = stage
        self.executor: UUID = uuid4()
        self.stop = IntakeStop(pause_seconds=PAUSE_SECONDS, now=lambda: self.now)
        self.dispatcher = DispatchLedger(capacity=8)
        self.consumer = Consumer(
            executor=self.executor,
            queue=TaskQueue(connect(settings.redis_url, reply_limit_bytes=TRANSFER_LIMITS.whole_bytes)),
            publisher=Publisher(create_celery_app(settings, self.executor)),
            dispatcher=self.dispatcher,
            settlement=Settlement(store, lambda _: None),
            record=lambda _: None,
            board=HealthBoard(),
            intake=self.stop,
            room_check_seconds=0.01,
        )

    def counts(self) -> tuple[int, int, int]:
        """Waiting in the queue, in flight, given to Celery."""
        waiting = self.stage.redis.llen(QUEUE_KEY)
        assert isinstance(waiting, int)
        return waiting, len(self.stage.in_flight(self.executor)), self.dispatcher.count()

    def give_all_back(self) -> None:
        for dispatch_id in list(self.dispatcher._dispatches):
            self.dispatcher.receive(RunReturned(dispatch_id))


@pytest.fixture
def intake(stage: Stage) -> Iterator[Intake]:
    stage.platform.wipe()
    stage.redis.flushall()
    with closing(SupabaseClient(stage.world.supabase.url, stage.world.supabase.service_role_key)) as store:
        intake = Intake(stage, store)
        for number in range(4):
            stage.submit(f"task {number}")
        yield intake
        intake.consumer.close()


def test_while_storage_refuses_nothing_is_taken(intake: Intake) -> None:
    intake.stop.storage(takes_pictures=False)
    intake.now += 10 * PAUSE_SECONDS
    for _ in range(3):
        intake.consumer.round()
    assert intake.counts() == (4, 0, 0)
    intake.stop.storage(takes_pictures=True)
    intake.consumer.round()
    assert intake.counts() == (3, 1, 1)


def test_while_tasks_fail_in_a_row_what_was_given_back_stays_and_is_tried_one_by_one_before_the_queue(
    intake: Intake,
) -> None:
    for _ in range(2):
        intake.consumer.round()
    intake.stop.tasks(fail_in_a_row=True)
    intake.give_all_back()
    for _ in range(3):
        intake.consumer.round()
    assert intake.counts() == (2, 2, 0), "given back, and left alone"
    for tried in (1, 2):
        intake.now += PAUSE_SECONDS
        for _ in range(3):
            intake.consumer.round()
        assert intake.counts() == (2, 2, tried)
    intake.now += PAUSE_SECONDS
    intake.consumer.round()
    assert intake.counts() == (1, 3, 3)


def test_once_they_end_well_everything_goes_on(intake: Intake) -> None:
    for _ in range(2):
        intake.consumer.round()
    intake.stop.tasks(fail_in_a_row=True)
    intake.give_all_back()
    intake.consumer.round()
    intake.stop.tasks(fail_in_a_row=False)
    for _ in range(2):
        intake.consumer.round()
    assert intake.counts() == (0, 4, 4)


def test_what_was_given_back_interrupts_no_pop_of_a_stopped_intake_and_is_still_found_afterwards(
    intake: Intake,
) -> None:
    for _ in range(3):
        intake.consumer.round()
    intake.stop.tasks(fail_in_a_row=True)
    intake.give_all_back()
    intake.now += PAUSE_SECONDS
    intake.consumer.round()
    assert intake.counts() == (1, 3, 1)
    assert not intake.dispatcher.has_returned(), "for that the pop of the next try would be interrupted"
    intake.stop.tasks(fail_in_a_row=False)
    intake.consumer.round()
    assert intake.counts() == (0, 4, 4)
