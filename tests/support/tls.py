"""Throw-away certificates, and a TLS front for a server that speaks none.

The certificates have all that RFC 5280 asks for, since Python 3.13 and newer refuse others (VERIFY_X509_STRICT).
"""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sandbox.servers.processes import LOOPBACK

VALID_FOR: Final = timedelta(hours=1)
BLOCK_BYTES: Final = 64 * 1024
SIGNS_CERTIFICATES: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority of one test run; ``certificate_path`` is what its friends trust."""

    certificate_path: Path
    _certificate: x509.Certificate
    _key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, directory: Path, name: str) -> "Authority":
        """Make one, with its certificate in ``directory``."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _named(name)
        certificate = (
            _certificate(subject, issuer=subject, key=key, issuer_key=key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(SIGNS_CERTIFICATES, critical=True)
            .sign(key, hashes.SHA256())
        )
        path = directory / f"{name}.pem"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return cls(path, certificate, key)

    def server_context(self, directory: Path, address: str) -> ssl.SSLContext:
        """What a server needs whose certificate is good for the IP address."""
        chain, key = self.sign(x509.IPAddress(ipaddress.ip_address(address)))
        path = directory / f"server-{address}.pem"
        path.write_bytes(chain + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def sign(self, name: x509.GeneralName, *, ended: bool = False) -> tuple[bytes, bytes]:
        """A new certificate for a server, and its key, both as PEM; with ``ended`` one that has run out."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _certificate(
                _named(f"server {name.value}"),
                issuer=self._certificate.subject,
                key=key,
                issuer_key=self._key,
                valid_for=-VALID_FOR / 2 if ended else VALID_FOR,
            )
            .add_extension(x509.SubjectAlternativeName([name]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _certificate(
    subject: x509.Name,
    *,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    valid_for: timedelta = VALID_FOR,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - VALID_FOR)
        .not_valid_after(now + valid_for)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )


class TlsFront:
    """Takes TLS connections on loopback and passes their content on to a plain server; a context manager.

    Args:
        context: with the server's certificate.
        target_port: of the plain server.
        handshake_delay_seconds: told anew for each connection; the client sees this delay.
        way_delay_seconds: the same before its first content is passed on, which the client cannot see.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        target_port: int,
        *,
        handshake_delay_seconds: Callable[[], float] = lambda: 0.0,
        way_delay_seconds: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._handshake_delay_seconds = handshake_delay_seconds
        self._way_delay_seconds = way_delay_seconds
        self._context = context
        self._target_port = target_port
        self._listener = socket.create_server((LOOPBACK, 0))
        self._sockets: list[socket.socket] = []
        self.handshakes = 0
        """TLS connections that both sides agreed to."""
        self.passed_on: list[float] = []
        """When the first content of each was passed on, by ``time.monotonic``."""

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        time.sleep(self._handshake_delay_seconds())
        try:
            secured = self._context.wrap_socket(client, server_side=True)
        except OSError:  # the client did not like the certificate
            client.close()
            return
        self.handshakes += 1
        target = socket.create_connection((LOOPBACK, self._target_port))
        self._sockets += [secured, target]
        threading.Thread(target=_pump, args=(target, secured), daemon=True).start()
        with suppress(OSError):
            first = secured.recv(BLOCK_BYTES)
            time.sleep(self._way_delay_seconds())
            self.passed_on.append(time.monotonic())
            target.sendall(first)
        _pump(secured, target)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass on until either side ends, then end both."""
    with suppress(OSError):
        while block := source.recv(BLOCK_BYTES):
            sink.sendall(block)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
