#!/usr/bin/env bash
# uvicorn 0.54.0 on CPython's asyncio (no uvloop): with --workers or --reload, and wherever Config.bind_socket() is used,
# every answer on a kept connection comes about 40 ms late; without, it takes less than one.
#
# bind_socket() makes its socket without the protocol's number, and so do the connections accepted from it say 0. asyncio
# sets TCP_NODELAY only where the number is IPPROTO_TCP. uvicorn writes head and body of an answer separately, so the body
# waits in the kernel (Nagle) until the caller has acknowledged the head, which it puts off (delayed acknowledgement). The
# first request of a connection is quick, so whoever tries it with curl sees nothing; nginx keeps its connections.
#
# Seen in November 2026 (Linux, CPython 3.11):
#   by its own server: TCP_NODELAY 1, median 0 ms
#   by bind_socket(): TCP_NODELAY 0, median 46 ms
#
# Needs Python 3.11 or newer and pip, Linux. Exits non-zero if that changes. What to do: uvloop, or set TCP_NODELAY on the
# listening socket, from which connections inherit it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" uvicorn==0.54.0

PYTHONPATH="$folder" python3 - <<'PYTHON'
import http.client
import socket
import sys
import threading
import time
from statistics import median

import uvicorn

REQUESTS = 40
LATE_SECONDS = 0.02


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def measured(by_bind_socket):
    config = uvicorn.Config(app, port=0, log_level="error", lifespan="off", loop="asyncio")
    server = uvicorn.Server(config)
    sockets = [config.bind_socket()] if by_bind_socket else None
    thread = threading.Thread(target=server.run, kwargs={"sockets": sockets}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    caller = http.client.HTTPConnection("127.0.0.1", port)
    took = []
    for _ in range(REQUESTS):
        begun = time.perf_counter()
        caller.request("GET", "/")
        caller.getresponse().read()
        took.append(time.perf_counter() - begun)
    [connection] = server.server_state.connections
    no_delay = connection.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    caller.close()
    server.should_exit = True
    thread.join()
    return bool(no_delay), median(took)


seen = {}
for name, by_bind_socket in (("its own server", False), ("bind_socket()", True)):
    seen[name] = no_delay, seconds = measured(by_bind_socket)
    print(f"by {name}: TCP_NODELAY {int(no_delay)}, median {seconds * 1000:.0f} ms")
as_seen = (
    seen["its own server"][0] and seen["its own server"][1] < LATE_SECONDS
    and not seen["bind_socket()"][0] and seen["bind_socket()"][1] > LATE_SECONDS
)
sys.exit(0 if as_seen else "it is not as it was seen: see the head of this file")
PYTHON
