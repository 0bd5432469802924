"""Events wait in a buffer until Celery's loop sends them, while the threads of tasks add more."""

from typing import Any

from celery import Celery

from worker.celery_events import DiscreetDispatcher


class Broker:
    """Takes what is published; while it does, a task's thread has one more event."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.dispatcher: DiscreetDispatcher | None = None
        self.meanwhile = ["task-retried"]

    def publish(self, events: list[dict[str, Any]], **_: Any) -> None:
        self.taken += [event["type"] for event in events]
        if self.dispatcher and self.meanwhile:
            self.dispatcher.send(self.meanwhile.pop(), uuid="1")


def test_an_event_that_comes_while_others_are_sent_is_sent_the_next_time() -> None:
    broker = Broker()
    app = Celery(broker="memory://", set_as_current=False)
    with app.connection() as connection:
        dispatcher = DiscreetDispatcher(connection, app=app, enabled=False, buffer_group=["task"])
        dispatcher.enabled, dispatcher.producer, broker.dispatcher = True, broker, dispatcher
        dispatcher.send("task-started", uuid="1")
        dispatcher.flush()
        assert broker.taken == ["task-started"]
        dispatcher.flush()
        dispatcher.flush()
    assert broker.taken == ["task-started", "task-retried"]
