"""Port 80 and the handshake on 443: which names, which versions and ciphers, HTTP/2 on and off (story 3.2, NFR-3.6)."""

import socket
import ssl
from collections.abc import Iterator

import httpx
import pytest

from sandbox.servers.processes import LOOPBACK
from tests.support.backends import Backend
from tests.support.edge import DOMAIN, WAIT_SECONDS, Edge

CHALLENGE = "/.well-known/acme-challenge"
INTERMEDIATE = {
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
}
"""Mozilla's TLS 1.2 suites for a certificate with an elliptic curve; those for RSA differ in that word only."""


@pytest.fixture
def plain(edge: Edge) -> Iterator[httpx.Client]:
    with edge.plain_client() as client:
        yield client


def context_for(edge: Edge, *, lowest: ssl.TLSVersion, highest: ssl.TLSVersion, ciphers: str = "") -> ssl.SSLContext:
    context = edge.trusting()
    context.set_ciphers(ciphers or "DEFAULT:@SECLEVEL=0")  # the client refuses nothing by itself
    context.minimum_version, context.maximum_version = lowest, highest
    return context


def exchange(port: int, request: bytes) -> bytes:
    """What comes back over a plain connection until it is closed."""
    with socket.create_connection((LOOPBACK, port), WAIT_SECONDS) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(4096), b""))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken(edge: Edge, version: ssl.TLSVersion) -> None:
    with edge.tls(context_for(edge, lowest=version, highest=version)) as connection:
        assert connection.version() == version.name.replace("_", ".")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_older_versions_are_refused(edge: Edge, version: ssl.TLSVersion) -> None:
    with pytest.raises(ssl.SSLError, match="alert protocol version"):
        edge.tls(context_for(edge, lowest=version, highest=version))


def test_of_tls_1_2_only_mozillas_intermediate_ciphers_are_taken(edge: Edge) -> None:
    tls_1_2 = ssl.TLSVersion.TLSv1_2
    offered = {
        str(cipher["name"])
        for cipher in context_for(edge, lowest=tls_1_2, highest=tls_1_2, ciphers="ALL:@SECLEVEL=0").get_ciphers()
        if not str(cipher["name"]).startswith("TLS_")
    }
    taken = set()
    for name in offered:
        try:
            edge.tls(context_for(edge, lowest=tls_1_2, highest=tls_1_2, ciphers=f"{name}:@SECLEVEL=0")).close()
        except ssl.SSLError:
            continue
        taken.add(name)
    assert len(offered) > 30
    assert taken == INTERMEDIATE


@pytest.mark.parametrize("name", ["other.test", "www.wearon.test", "test", LOOPBACK])
def test_another_name_is_refused_in_the_handshake_before_any_certificate(edge: Edge, name: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        edge.tls(context, name=name)


@pytest.mark.parametrize("head", [b"HTTP/1.1\r\nHost: other.test", b"HTTP/1.1", b"HTTP/1.0"])
def test_our_name_in_the_handshake_and_another_or_none_in_the_request_is_dropped(
    edge: Edge, backend: Backend, head: bytes
) -> None:
    with edge.tls() as connection:
        connection.sendall(b"GET /health " + head + b"\r\n\r\n")
        assert connection.recv(4096) == b""
    assert backend.seen == []


def test_plain_http_on_the_tls_port_is_dropped(edge: Edge) -> None:
    assert exchange(edge.https_port, f"GET /health HTTP/1.1\r\nHost: {DOMAIN}\r\n\r\n".encode()) == b""


@pytest.mark.parametrize("host", ["other.test", "www.wearon.test", LOOPBACK])
def test_another_name_on_port_80_is_dropped(edge: Edge, host: str) -> None:
    assert exchange(edge.http_port, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()) == b""


@pytest.mark.parametrize("request_", [b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\r\n\r\n"])
def test_no_name_on_port_80_is_dropped(edge: Edge, request_: bytes) -> None:
    assert exchange(edge.http_port, request_) == b""


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("target", ["/", "/estimate-body?a=b&c=%2F", "//evil.test/x", "/%0d%0aX:y"])
def test_port_80_sends_to_https_with_method_path_and_query(plain: httpx.Client, method: str, target: str) -> None:
    request = plain.build_request(method, "/")
    request.extensions["target"] = target.encode()
    answer = plain.send(request)
    assert (answer.status_code, answer.headers["Location"]) == (308, f"https://{DOMAIN}{target}")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Strict-Transport-Security" not in answer.headers, "RFC 6797, 7.2: not over plain HTTP"


def test_the_challenge_of_the_certificate_authority_is_answered_and_never_redirected(
    edge: Edge, plain: httpx.Client
) -> None:
    folder = edge.acme / CHALLENGE.lstrip("/")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "token").write_text("token.thumbprint")
    assert plain.get(f"{CHALLENGE}/token").text == "token.thumbprint"
    missing = plain.get(f"{CHALLENGE}/other")
    assert (missing.status_code, missing.headers["Content-Type"]) == (404, "text/plain")


@pytest.mark.parametrize("climb", ["../../../letsencrypt/live", "%2e%2e/%2e%2e/%2e%2e/letsencrypt/live", "..%2f..%2f"])
def test_nobody_climbs_out_of_the_challenges_folder(edge: Edge, climb: str) -> None:
    target = f"{CHALLENGE}/{climb}/{DOMAIN}/privkey.pem"
    answer = exchange(edge.http_port, f"GET {target} HTTP/1.1\r\nHost: {DOMAIN}\r\nConnection: close\r\n\r\n".encode())
    assert answer == b"" or answer.startswith((b"HTTP/1.1 308 ", b"HTTP/1.1 404 "))
    assert b"PRIVATE KEY" not in answer


def test_http2_goes_off_and_on_again_by_its_one_snippet(edge: Edge) -> None:
    snippet = edge.source / "snippets" / "http2.conf"
    as_shipped = snippet.read_text()

    def spoken() -> str:
        with edge.client(http2=True) as client:
            return client.get("/health").http_version

    assert spoken() == "HTTP/2"
    snippet.write_text(as_shipped.replace("http2 on;", "http2 off;"))
    edge.reload()
    assert spoken() == "HTTP/1.1"
    snippet.write_text(as_shipped)
    edge.reload()
    assert spoken() == "HTTP/2"
