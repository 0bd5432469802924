"""What a monitor on Celery's broker hears of the real worker, across executors: a bounded set of queues and hosts."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import Celery
from celery.utils import nodesplit

from tests.support.worker import Stage, wait_until
from worker.celery_events import SHOWN_QUEUE

pytest_plugins = ["tests.support.worker_fixtures"]

RATE_LIMITED = "[[sim:429-once]] "
WAKE_SECONDS = 0.5


class Heard(list[dict[str, Any]]):
    """Every event, in the order they came."""

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self if event["type"] == kind]


@contextmanager
def listening(broker_url: str) -> Iterator[Heard]:
    """Hear all events, as celery-exporter does."""
    heard, over = Heard(), threading.Event()
    with Celery(broker=broker_url, set_as_current=False) as app, app.connection() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": heard.append})

        def listen() -> None:
            with receiver.consumer_context(wakeup=False) as (own_connection, *_):
                while not over.is_set():
                    try:
                        own_connection.drain_events(timeout=WAKE_SECONDS)
                    except TimeoutError:
                        continue

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            yield heard
        finally:
            over.set()
            listener.join()


@pytest.fixture(scope="module")
def heard(stage: Stage) -> Iterator[Heard]:
    """Of a worker whose Celery process was killed once, with tasks before and after, and one that is sent again."""
    with listening(stage.world.redis.url) as heard:
        worker = stage.worker()
        worker.start()
        for executors in (1, 2):
            worker.wait_for_line("executor_ready", count=executors)
            stage.wait_for(stage.submit("one"), stage.submit("another"))
            wait_until(lambda ended=2 * executors: len(heard.of("task-succeeded")) == ended, "both have ended")  # type: ignore[misc]
            if executors == 1:
                os.kill(worker.celery_pid(), signal.SIGKILL)
        stage.submit(RATE_LIMITED)
        wait_until(lambda: heard.of("task-retried"), "a task is sent again")
        yield heard


def test_the_queues_of_all_executors_have_one_name(heard: Heard) -> None:
    sent = heard.of("task-sent")
    assert len(sent) == 6, "five tasks, one of them twice"
    assert {(event["queue"], event["routing_key"]) for event in sent} == {(SHOWN_QUEUE, SHOWN_QUEUE)}
    assert {event["queue"] for event in heard if "queue" in event} == {SHOWN_QUEUE}


def test_all_executors_of_a_host_have_its_name_which_is_all_that_celery_exporter_shows(heard: Heard) -> None:
    workers = {event["hostname"] for event in heard if event["type"].startswith("worker-")}
    assert len(workers) == 2, "an executor's id comes before the @"
    assert len({nodesplit(event["hostname"])[1] for event in heard}) == 1


def test_no_event_repeats_what_a_task_holds(heard: Heard) -> None:
    assert heard.of("task-received")
    assert [event for event in heard if event.get("args") or event.get("kwargs")] == []
    assert "http" not in str(list(heard))
