"""The one TLS client context."""

import ssl
from pathlib import Path

import pytest

from services.tls import SharedClientContext
from tests.support.tls import Authority

ADDRESS = "127.0.0.1"


def protocol_chosen(client: ssl.SSLContext, server: ssl.SSLContext) -> str | None:
    """What two ends agree to speak after a handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=ADDRESS),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    while ends:
        for end in list(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)
            chosen = end.selected_alpn_protocol()
    return chosen


@pytest.mark.parametrize(("kind", "chosen"), [(SharedClientContext, None), (ssl.SSLContext, "h2")])
def test_whoever_asks_for_http_2_gets_http_1(kind: type[ssl.SSLContext], chosen: str | None, tmp_path: Path) -> None:
    authority = Authority.create(tmp_path, "authority")
    server = authority.server_context(tmp_path, ADDRESS)
    server.set_alpn_protocols(["h2", "http/1.1"])
    client = kind(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(authority.certificate_path)
    client.set_alpn_protocols(["h2", "http/1.1"])
    assert protocol_chosen(client, server) == chosen
