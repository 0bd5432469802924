#!/usr/bin/env bash
# Celery 5.6.3 with kombu 5.6.2 and a Redis that takes no connections: `send_task(retry=False)` (apply_async too), if
# one would rather have the error than wait, tries three times and takes six seconds. With the retries that are the
# default the same error comes after 0.6 s and four attempts. retry=False only leaves out the retries of the message;
# the connection is then made by kombu's own rule (again after 2 s, then after 4 s), which a call with retries replaces
# by the message's rule. broker_connection_retry=False and broker_connection_max_retries=0 change nothing here.
#
# And it depends on what the process did before: the replacement stays in the connection, which kombu keeps, so after
# one call with the default retry=False takes 0.6 s as well.
#
# Seen in November 2026 (a server that closes every connection at once; attempts in seconds after the first one):
#   default                              [0.0, 0.0, 0.2, 0.6]
#   retry=False                          [0.0, 2.0, 6.0]
#   retry=False, no retries of workers   [0.0, 2.0, 6.0]
#   retry=False, max_retries 0           [0.0]
#   retry=False after a default one      [0.0, 0.0, 0.2, 0.6]
#
# Needs Linux, Python 3.11 or newer and pip; takes half a minute. Exits non-zero if that changes. What to do:
# broker_transport_options = {"max_retries": 0}, beside retry=False.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check celery==5.6.3 kombu==5.6.2 redis==6.4.0

cat >"$folder/show.py" <<'PYTHON'
import multiprocessing
import socket
import sys
import threading
import time
from importlib.metadata import version

from celery import Celery
from kombu.exceptions import OperationalError

NO_RETRIES_OF_WORKERS = {"broker_connection_retry": False, "broker_connection_max_retries": 0}
CASES = {
    "default": ({}, [{}], 4, (0.3, 3.0)),
    "retry=False": ({}, [{"retry": False}], 3, (5.0, 10.0)),
    "retry=False, no retries of workers": (NO_RETRIES_OF_WORKERS, [{"retry": False}], 3, (5.0, 10.0)),
    "retry=False, max_retries 0": ({"broker_transport_options": {"max_retries": 0}}, [{"retry": False}], 1, (0.0, 0.0)),
    "retry=False after a default one": ({}, [{}, {"retry": False}], 4, (0.3, 3.0)),
}
"""Settings, calls; of the last call: attempts to connect, and between which seconds the last one comes."""


def refuse_everybody(listener, attempts):
    while True:
        connection, _ = listener.accept()
        attempts.append(time.monotonic())
        connection.close()


def last_call(settings, calls, result):
    """When it tried to connect. Needs a process of its own, for kombu keeps connections for all applications."""
    attempts = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=refuse_everybody, args=(listener, attempts), daemon=True).start()
        app = Celery("show", broker=f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        app.conf.update(settings)
        for options in calls:
            attempts.clear()
            try:
                app.send_task("task", **options)
            except OperationalError:
                pass
        result.send([round(attempt - attempts[0], 1) for attempt in attempts])


def is_as_seen(what, settings, calls, count_then, last_then):
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=last_call, args=(settings, calls, sender))
    process.start()
    if not receiver.poll(60):
        process.kill()
        sys.exit(f"{what}: no end after 60 s")
    attempts = receiver.recv()
    process.join()
    print(f"{what:36} {attempts}")
    earliest, latest = last_then
    return len(attempts) == count_then and earliest <= attempts[-1] <= latest


if __name__ == "__main__":
    print(", ".join(f"{name} {version(name)}" for name in ("celery", "kombu", "redis")))
    seen = [is_as_seen(what, *case) for what, case in CASES.items()]
    sys.exit(0 if all(seen) else "this is no longer so")
PYTHON

"$folder/venv/bin/python" "$folder/show.py"
