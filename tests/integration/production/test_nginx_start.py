"""nginx/start.sh: before there is a certificate, with one, with a broken one; taking over without dropping anybody."""

import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from sandbox.servers.processes import LOOPBACK, free_port
from tests.support.backends import Backend, Reply, Seen
from tests.support.edge import DOMAIN, WAIT_SECONDS, Edge, wait_until
from tests.support.name_server import NameServer

CHALLENGE = ".well-known/acme-challenge"
SHUTDOWN_SECONDS = 2
KEPT_OPEN, KEPT_OPEN_LONG = "keepalive_min_timeout  5s;", "keepalive_min_timeout  30s;"
"""As shipped, and for a test that may take its time between two requests."""

NEW_CONNECTION = {"Connection": "close"}
"""Nothing stays open to the nginx of before."""


@contextmanager
def behind(names: NameServer, backend: Backend, **settings: str) -> Iterator[Edge]:
    """An nginx that has no certificate yet."""
    with Edge(names.address, backend.port, settings) as edge:
        yield edge


def test_without_a_certificate_port_80_serves_the_challenge_and_says_503_in_the_clear(
    name_server: NameServer, backend: Backend
) -> None:
    with behind(name_server, backend) as edge, edge.plain_client() as plain:
        (edge.acme / CHALLENGE).mkdir(parents=True)
        (edge.acme / CHALLENGE / "token").write_text("token.thumbprint")
        assert plain.get(f"/{CHALLENGE}/token").text == "token.thumbprint"
        answer = plain.get("/health")
        assert answer.status_code == 503
        assert answer.text.startswith("This service is being set up: it has no certificate yet.")
        assert backend.seen == [], "nothing is told without encryption"
        with socket.socket() as probe:
            assert probe.connect_ex((LOOPBACK, edge.https_port)) != 0
        assert "port 80 only. When there is one: start.sh reload" in edge.output.read_text()


def test_the_first_certificate_is_taken_up_by_a_reload_of_the_running_nginx(
    name_server: NameServer, backend: Backend
) -> None:
    with behind(name_server, backend) as edge, edge.plain_client() as plain:
        master = edge.process.pid
        assert plain.get("/", headers=NEW_CONNECTION).status_code == 503
        serial = edge.certify()
        edge.reload()
        assert edge.served_serial() == serial
        assert plain.get("/", headers=NEW_CONNECTION).status_code == 308
        assert edge.process.pid == master
        assert edge.process.is_running


def test_a_renewed_certificate_is_served_to_new_connections_after_a_reload(edge: Edge) -> None:
    before = edge.served_serial()
    serial = edge.certify()
    assert edge.served_serial() == before, "until it is told"
    edge.reload()
    assert edge.served_serial() == serial


def test_a_request_in_flight_and_an_open_connection_survive_a_reload(name_server: NameServer) -> None:
    asked, may_answer = threading.Event(), threading.Event()

    def answer(seen: Seen) -> Reply:
        if seen.target == "/grafana/slow":
            asked.set()
            may_answer.wait(WAIT_SECONDS)
        return Reply()

    with Backend("backend", free_port(), reply=answer) as backend:
        edge = Edge(name_server.address, backend.port)
        limits = edge.source / "snippets" / "limits.conf"
        limits.write_text(limits.read_text().replace(KEPT_OPEN, KEPT_OPEN_LONG))
        edge.certify()
        with edge, edge.client() as slow, edge.client() as idle, ThreadPoolExecutor() as pool:
            wait_until(lambda: idle.get("/grafana/").status_code == 200, "nginx has found Grafana")
            in_flight = pool.submit(slow.get, "/grafana/slow")
            assert asked.wait(WAIT_SECONDS)
            connection = edge.tls()
            connection.sendall(f"GET /nothing HTTP/1.1\r\nHost: {DOMAIN}\r\n\r\n".encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 404")

            edge.reload()
            connection.sendall(f"GET /nothing HTTP/1.1\r\nHost: {DOMAIN}\r\n\r\n".encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 404"), "keepalive_min_timeout"
            may_answer.set()
            assert in_flight.result(WAIT_SECONDS).status_code == 200
            connection.close()


def test_no_request_fails_while_nginx_is_reloaded_again_and_again(edge: Edge) -> None:
    statuses: set[int] = set()
    stop = threading.Event()

    def ask() -> None:
        with edge.client() as client:
            while not stop.is_set():
                statuses.add(client.get("/health").status_code)

    callers = [threading.Thread(target=ask) for _ in range(2)]
    for caller in callers:
        caller.start()
    for _ in range(5):
        edge.reload()
    stop.set()
    for caller in callers:
        caller.join()
    assert statuses == {200}


def test_old_worker_processes_end_in_time_although_somebody_stays_connected(
    name_server: NameServer, backend: Backend
) -> None:
    edge = Edge(name_server.address, backend.port, {"NGINX_SHUTDOWN_TIMEOUT": f"{SHUTDOWN_SECONDS}s"})
    edge.certify()
    with edge, edge.client() as client:
        wait_until(lambda: client.get("/grafana/").status_code == 200, "nginx has found Grafana")
        with edge.tls() as websocket:
            upgrade = "Connection: Upgrade\r\nUpgrade: websocket"
            websocket.sendall(f"GET /grafana/ws HTTP/1.1\r\nHost: {DOMAIN}\r\n{upgrade}\r\n\r\n".encode())
            assert websocket.recv(4096).startswith(b"HTTP/1.1 101 ")
            before = edge.worker_processes()
            edge.reload()
            wait_until(lambda: not before & edge.worker_processes(), "the old worker processes are gone")


def test_a_configuration_that_nginx_refuses_changes_nothing(edge: Edge) -> None:
    snippet = edge.source / "snippets" / "limits.conf"
    as_shipped = snippet.read_text()
    running = (edge.directory / "conf.d" / "current" / "nginx.conf").read_text()
    snippet.write_text(as_shipped + "no_such_directive on;\n")
    done = edge.start_sh("reload")
    snippet.write_text(as_shipped)
    assert done.returncode == 1
    assert 'unknown directive "no_such_directive"' in done.stderr
    assert "The running one was left as it is." in done.stderr
    assert (edge.directory / "conf.d" / "current" / "nginx.conf").read_text() == running
    with edge.client() as client:
        assert client.get("/health").status_code == 200


def test_render_only_looks(edge: Edge) -> None:
    before = edge.serving()
    done = edge.start_sh("render")
    assert (done.returncode, edge.serving()) == (0, before)
    assert DOMAIN in (edge.directory / "conf.d" / "next" / "conf.d" / "https.conf").read_text()


def test_what_a_killed_start_sh_left_is_cleared_away(edge: Edge) -> None:
    left = edge.directory / "conf.d" / "next.4194305"  # above the highest id that Linux gives
    left.mkdir()
    edge._hand_over()
    assert edge.start_sh("render").returncode == 0
    assert not left.exists()


@pytest.mark.parametrize("broken", ["no certificate at all", ""])
def test_a_broken_certificate_leaves_port_80_up_so_that_it_can_be_replaced(
    name_server: NameServer, backend: Backend, broken: str
) -> None:
    edge = Edge(name_server.address, backend.port)
    edge.certify()
    (edge.certificates / "live" / DOMAIN / "fullchain.pem").write_text(broken)
    with edge, edge.plain_client() as plain:
        assert plain.get("/", headers=NEW_CONNECTION).status_code == 503
        assert "only port 80 is served until this is mended" in edge.output.read_text()
        edge.certify()
        edge.reload()
        assert plain.get("/", headers=NEW_CONNECTION).status_code == 308


@pytest.mark.parametrize("closed", [f"live/{DOMAIN}/privkey.pem", "live"])
def test_a_certificate_that_it_may_not_read_is_told_with_the_command_that_mends_it(
    name_server: NameServer, backend: Backend, closed: str
) -> None:
    edge = Edge(name_server.address, backend.port)
    edge.certify()
    path = edge.certificates / closed
    mode = path.stat().st_mode
    path.chmod(0)  # as certbot run by root leaves it for anybody else
    with edge, edge.plain_client() as plain:
        assert plain.get("/", headers=NEW_CONNECTION).status_code == 503
        done = edge.start_sh("reload")
        for told in (edge.output.read_text(), done.stderr):
            assert "cannot read it" in told
            assert "chown certbot -R 101:101 /etc/letsencrypt" in told
        assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "start.sh: nothing was changed.")
        path.chmod(mode)
        edge.reload()
        assert plain.get("/", headers=NEW_CONNECTION).status_code == 308


def test_a_broken_renewal_leaves_the_good_one_in_service(edge: Edge) -> None:
    serial = edge.certify()
    edge.reload()
    (edge.certificates / "live" / DOMAIN / "privkey.pem").write_text("cut off")
    done = edge.start_sh("reload")
    assert done.returncode == 1
    assert edge.served_serial() == serial
    edge.certify()
    edge.reload()


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        ("", "DOMAIN is not set."),
        ("localhost", "needs at least one dot"),
        ("https://worker.example.com", "no https://"),
        ("worker.example.com:443", "no port"),
        ("Worker.example.com", "in lower case"),
        ("worker.example.com;return 200", "plain host name"),
        ("worker.example.com\nx", "plain host name"),
        ("$host.example.com", "plain host name"),
        ("*.example.com", "plain host name"),
        ("../../etc", "plain host name"),
        ("-a.example.com", "a dot or a hyphen"),
        ("a-.example.com", "a dot or a hyphen"),
        ("a..example.com", "a dot or a hyphen"),
        (".example.com", "a dot or a hyphen"),
        ("example.com.", "a dot or a hyphen"),
        ("192.0.2.1", "must be a name"),
        ("x" * 64 + ".example.com", "more than 63 characters"),
        ("x." * 125 + "example", "longer than 253 characters"),
    ],
)
def test_a_domain_that_is_none_is_refused_with_what_to_write(edge: Edge, domain: str, words: str) -> None:
    for command in ("start", "reload", "render"):
        done = edge.start_sh(command, DOMAIN=domain)
        assert done.returncode == 1
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("domain", ["a.bc", "xn--bcher-kva.example", "1.example2", "x" * 63 + ".example.com"])
def test_a_domain_that_is_one_is_taken(edge: Edge, domain: str) -> None:
    assert edge.start_sh("render", DOMAIN=domain).returncode == 0


@pytest.mark.parametrize("value", ["127.0.0.1;", "a b", "$x", "a|b", "a&b", "a\\b", "a\nb"])
def test_no_other_setting_can_carry_configuration(edge: Edge, value: str) -> None:
    done = edge.start_sh("render", NGINX_RESOLVER=value)
    assert done.returncode == 1
    assert "must consist of letters" in done.stderr


def test_help_tells_each_command_and_an_unknown_one_is_told_the_same(edge: Edge) -> None:
    helped, unknown = edge.start_sh("--help"), edge.start_sh("restart")
    assert (helped.returncode, unknown.returncode) == (0, 2)
    assert helped.stdout == unknown.stderr
    assert {"start.sh", "start.sh reload", "start.sh render"} <= {
        line.split("  ")[0] for line in helped.stdout.splitlines()
    }


def test_only_our_authority_is_trusted_by_these_tests(edge: Edge) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        edge.tls(ssl.create_default_context())


def test_its_own_health_check_does_not_depend_on_the_worker() -> None:
    with NameServer() as names, Edge(names.address, free_port()) as edge:
        assert edge.is_healthy()
        address = f"http://{LOOPBACK}:{edge.status_port}/health"
        assert httpx.get(address, trust_env=False, timeout=WAIT_SECONDS).status_code == 404


HAS_STUB_STATUS = """#!/bin/sh
case " $* " in *" -V "*) echo "configure arguments: --with-http_stub_status_module" >&2 ;; esac
"""
"""Stands in for the official image's nginx, whose module PyPI's wheel lacks; it takes every configuration."""


@pytest.mark.parametrize("has_module", [True, False])
def test_the_page_of_numbers_is_there_where_nginx_has_the_module_for_it(
    name_server: NameServer, backend: Backend, has_module: bool
) -> None:
    with behind(name_server, backend) as edge:
        program = edge.directory / "with-the-module"
        program.write_text(HAS_STUB_STATUS)
        program.chmod(0o755)
        done = edge.start_sh("render", **({"NGINX_BINARY": str(program)} if has_module else {}))
        assert done.returncode == 0, done.stderr
        assert (edge.directory / "conf.d" / "next" / "conf.d" / "metrics.conf").exists() == has_module
