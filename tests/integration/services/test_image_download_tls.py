"""Downloading over TLS: whom the certificate must name, and what a connection costs."""

import asyncio
import gc
import ssl
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_server

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from models.failures import Failure, ImageUnreachable
from services.fetching.image_download import DownloadedImage, download_image
from services.fetching.url_guard import TrustedHosts
from tests.integration.services.test_image_download import resolver
from tests.support.fault_server import PICTURE, FaultServer, fault_server

CONNECTIONS = 20

BYTES_PER_CONNECTION = 96 * 1024
"""A silent download over TLS takes 40 kB of Python's memory; asyncio's own TLS would take 260."""


def certificate_for(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts of a server with a certificate for ``name``, and of a client that trusts its issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=str(pem))


def download_over_tls(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext | None, host: str
) -> tuple[DownloadedImage | Failure, FaultServer]:
    async def run() -> tuple[DownloadedImage | Failure, FaultServer]:
        async with fault_server(tls=server_tls) as server:
            resolve, _ = resolver(["127.0.0.1"])
            url = server.url("/honest", host=host, scheme="https")
            try:
                picture = await download_image(
                    url, trusted_hosts=TrustedHosts.parse(host), resolve=resolve, ssl_context=client_tls
                )
            except Failure as failure:
                return failure, server
            return picture, server

    return asyncio.run(run())


def test_over_tls_the_name_is_asked_for_and_verified_although_the_connection_goes_to_an_address(
    tmp_path: Path,
) -> None:
    server_tls, client_tls = certificate_for("pictures.example", tmp_path)
    ended, server = download_over_tls(server_tls, client_tls, "pictures.example")
    assert ended == DownloadedImage(PICTURE, "image/jpeg")
    assert server.server_names == ["pictures.example"]


def test_a_certificate_for_another_name_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    server_tls, client_tls = certificate_for("other.example", tmp_path)
    ended, server = download_over_tls(server_tls, client_tls, "pictures.example")
    assert isinstance(ended, ImageUnreachable)
    assert "no trusted TLS connection" in ended.reason
    assert server.heads == []


def test_a_certificate_nobody_vouches_for_is_refused_even_from_a_trusted_host(tmp_path: Path) -> None:
    server_tls, _ = certificate_for("pictures.example", tmp_path)
    ended, server = download_over_tls(server_tls, None, "pictures.example")
    assert isinstance(ended, ImageUnreachable)
    assert server.heads == []


@contextmanager
def silent_host(server_tls: ssl.SSLContext, connections: int) -> Iterator[tuple[int, threading.Semaphore]]:
    """A port whose host takes that many requests and answers none, and a semaphore that counts them.

    Blocking sockets: OpenSSL's memory, unlike that of asyncio's TLS, is not in Python's books.
    """
    asked = threading.Semaphore(0)

    with create_server(("127.0.0.1", 0)) as listener, ExitStack() as kept:

        def serve() -> None:
            for _ in range(connections):
                client = kept.enter_context(server_tls.wrap_socket(listener.accept()[0], server_side=True))
                client.recv(1024)
                asked.release()

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], asked
        thread.join()


def test_a_host_that_keeps_silent_costs_little_memory(tmp_path: Path) -> None:
    server_tls, client_tls = certificate_for("pictures.example", tmp_path)
    trusted = TrustedHosts.parse("pictures.example")

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async def bytes_per_download() -> float:
        with silent_host(server_tls, CONNECTIONS + 1) as (port, asked):

            async def start(number: int) -> list[asyncio.Task[DownloadedImage]]:
                url = f"https://pictures.example:{port}/"
                tasks = [
                    asyncio.create_task(
                        download_image(url, trusted_hosts=trusted, resolve=resolve, ssl_context=client_tls)
                    )
                    for _ in range(number)
                ]
                for _ in tasks:
                    await asyncio.to_thread(asked.acquire)
                gc.collect()
                return tasks

            running = await start(1)
            before = tracemalloc.get_traced_memory()[0]
            running += await start(CONNECTIONS)
            after = tracemalloc.get_traced_memory()[0]
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        return (after - before) / CONNECTIONS

    tracemalloc.start()
    try:
        assert asyncio.run(bytes_per_download()) < BYTES_PER_CONNECTION
    finally:
        tracemalloc.stop()
