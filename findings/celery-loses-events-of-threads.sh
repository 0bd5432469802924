#!/usr/bin/env bash
# Celery 5.6.3, a worker with an event loop (Redis or RabbitMQ as broker) and the threads pool: events about tasks wait in
# a buffer until the loop sends them. EventDispatcher.flush() sends the buffer and then empties it; what a task's thread
# adds in between is thrown away. So a monitor (celery-exporter, Flower) misses now and then that a task was started,
# retried or has succeeded, and nothing says so. The lock around it is taken by flush() only, not by send().
#
# Here a producer stands still while it publishes, until another thread has sent one more event. Seen in November 2026:
# two events sent, one published, also after two more flushes. On a busy machine with a real Redis, a task's retry was
# missed in 5 of 12 runs.
#
# Needs Python 3.11 or newer and pip; takes ten seconds. Exits non-zero if that changes. What to do: a dispatcher
# (argument "events" of the application, dispatcher_cls) whose flush() takes out exactly what it sends.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check celery==5.6.3 kombu==5.6.2

cat >"$folder/show.py" <<'PYTHON'
import sys
import threading
from importlib.metadata import version

from celery import Celery

published = []
is_publishing, has_sent = threading.Event(), threading.Event()


class SlowProducer:
    """Takes events like kombu's, and lets the other thread run while it does."""

    def publish(self, events, **_):
        published.extend(event["type"] for event in events)
        is_publishing.set()
        has_sent.wait(10)


app = Celery(broker="memory://")
with app.connection() as connection:
    dispatcher = app.events.Dispatcher(connection, enabled=False, buffer_group=["task"])
    dispatcher.enabled, dispatcher.producer = True, SlowProducer()

    def task():
        is_publishing.wait(10)
        dispatcher.send("task-retried", uuid="1")
        has_sent.set()

    thread = threading.Thread(target=task)
    thread.start()
    dispatcher.send("task-started", uuid="1")
    dispatcher.flush()
    thread.join()
    dispatcher.flush()
    dispatcher.flush()

print("celery", version("celery"), "sent: task-started, task-retried; published:", ", ".join(published))
sys.exit(0 if published == ["task-started"] else "this is no longer so")
PYTHON

"$folder/venv/bin/python" "$folder/show.py"
