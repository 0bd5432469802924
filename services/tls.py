"""One TLS client context for all threads of the process."""

import ssl
from collections.abc import Iterable
from functools import lru_cache

import httpx


class SharedClientContext(ssl.SSLContext):
    """Verifies chain and host name like any client context, and may be used by many threads at once.

    httpcore sets the ALPN protocols before every handshake. OpenSSL frees the old list when it does, while another
    thread, which waits for no lock in ``SSL_new``, may just be copying it. All it ever sets is HTTP/1.1, the default.

    It also keeps HTTP/2 away from whoever asks for it: httpx loses every thousandth answer of a server that closes its
    connections by then, after the work was done (findings/httpx-over-http2-loses-every-thousandth-answer.sh).
    """

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Does nothing: without ALPN a server speaks HTTP/1.1."""


@lru_cache(maxsize=1)
def public_client_context() -> ssl.SSLContext:
    """Trusts the public authorities that come with httpx. Loading them takes longer than a request's own work."""
    authorities = httpx.create_ssl_context(trust_env=False).get_ca_certs(binary_form=True)
    context = SharedClientContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=b"".join(authorities))
    return context
