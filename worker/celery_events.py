"""What Celery's events tell a monitor: every executor's queue under one name, and nothing of what a task holds.

celery-exporter makes a label of the queue's name and never forgets one; our queues have an executor's id in their name
(ADR 0004). The events also repeat a task's arguments, which are signed links (docs/adr/0047).
"""

from typing import Any, Final

from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher

SHOWN_QUEUE: Final = "wearon.generation"
"""The name in the events for the queues of all executors together."""

ROUTE: Final = frozenset({"queue", "exchange", "routing_key"})
CONTENT: Final = frozenset({"args", "kwargs"})


def shown(fields: dict[str, Any]) -> dict[str, Any]:
    """An event's fields as they may be told [pure]."""
    return {name: SHOWN_QUEUE if name in ROUTE else value for name, value in fields.items() if name not in CONTENT}


class DiscreetDispatcher(EventDispatcher):  # type: ignore[misc] # Celery has no types
    """Sends events without what they need not say. Celery takes one way for its own events, another for "task-sent"."""

    def send(self, type: str, **fields: Any) -> Any:  # noqa: A002 - Celery's signature
        """Send one of the worker's own events."""
        return super().send(type, **shown(fields))

    def flush(self, errors: bool = True, groups: bool = True) -> None:  # noqa: FBT001, FBT002 - Celery's signature
        """Send what waited.

        Celery empties the buffer after it has sent it: what a thread of a task adds in between is lost, such as a start
        or a retry. Here exactly what is taken out is sent.
        """
        super().flush(errors=errors, groups=False)
        if not groups:
            return
        with self.mutex:
            for group, waiting in self._group_buffer.items():
                taken = [waiting.pop(0) for _ in range(len(waiting))]
                if taken:
                    self._publish(taken, self.producer, f"{group}.multi")

    def publish(self, type: str, fields: dict[str, Any], producer: Any, **options: Any) -> Any:  # noqa: A002
        """Send an event over a producer that is at hand."""
        return super().publish(type, shown(fields), producer, **options)


class DiscreetEvents(Events):  # type: ignore[misc] # Celery has no types
    """For the argument ``events`` of a Celery application."""

    dispatcher_cls = DiscreetDispatcher
