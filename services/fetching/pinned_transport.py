"""httpx over one connection to one given address (RFC 9112), for hosts that are not trusted.

httpx's own transport looks names up by itself, keeps a pool and takes the address from the URL. Here the address was
checked before, the connection goes there and nowhere else, and the certificate is verified against the host's name. It
serves one request, for two thirds of the processor time (docs/adr/0016-a-transport-pinned-to-one-address.md).
"""

import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Final

import anyio
import anyio.abc
import h11
import httpx

from services.fetching.url_guard import FetchTarget

PARSED_READ_BYTES: Final = 32 * 1024
"""One network read of a head, and of a body in chunks: two TLS records. It may hold thousands of one-byte chunks, and
the event loop does nothing else meanwhile; smaller ones cost honest pictures more."""

SIZED_READ_BYTES: Final = 256 * 1024
"""One network read of a body whose length was declared, in which there is nothing to look for: as much as asyncio takes
from the system at once. Less would make it copy what is left, again and again, and cost a turn of the event loop."""

MAX_HEAD_BYTES: Final = 64 * 1024
"""Status line and headers of an answer; real ones have about one kilobyte."""

PASSED_ON: Final = frozenset({b"content-type", b"content-length", b"content-encoding", b"transfer-encoding"})
"""Headers that describe the body. The library acts on others, and stumbles over broken ones: it reads where a redirect
goes that nobody follows, and keeps cookies."""

BROKEN: Final = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)
"""What anyio raises when the other side is not there any more."""


class PinnedTransport(httpx.AsyncBaseTransport):
    """Sends one request for ``target`` to ``address``; path and query are the target's, whatever the request's URL.

    But for connecting it has no timeouts: the caller bounds the whole.

    Args:
        target: what is asked for; its host is the certificate's.
        address: where the connection goes: an IP address, checked by the caller.
        ssl_context: verifies certificates.
        connect_timeout_seconds: for the connection, TLS included.
    """

    def __init__(
        self, target: FetchTarget, address: str, *, ssl_context: ssl.SSLContext, connect_timeout_seconds: float
    ) -> None:
        self._target = target
        self._address = address
        self._ssl_context = ssl_context
        self._connect_timeout_seconds = connect_timeout_seconds

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Connect, ask, and return the answer with its body still on the way.

        Raises:
            httpx.ConnectTimeout, httpx.ConnectError: no connection, or no trusted one.
            httpx.WriteError, httpx.ReadError: the connection broke.
            httpx.RemoteProtocolError: the answer is not HTTP.
        """
        answer = _Answer(await self._connect())
        try:
            status, headers = await answer.ask(request, self._target.request_target)
            return httpx.Response(status, headers=headers, stream=answer)
        except BaseException:
            await answer.aclose()
            raise

    async def _connect(self) -> anyio.abc.ByteStream:
        # By anyio, as httpx does it: asyncio's own TLS reads ahead by up to a megabyte for each connection.
        try:
            with anyio.fail_after(self._connect_timeout_seconds):
                if self._target.scheme == "http":
                    return await anyio.connect_tcp(self._address, self._target.port)
                return await anyio.connect_tcp(
                    self._address,
                    self._target.port,
                    ssl_context=self._ssl_context,
                    tls_hostname=self._target.host,
                    tls_standard_compatible=False,
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout("no connection in time") from error
        except BROKEN as error:
            raise httpx.ConnectError("no connection") from error


class _Answer(httpx.AsyncByteStream):
    """One exchange on one connection; as a stream, the answer's body."""

    def __init__(self, stream: anyio.abc.ByteStream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._body_bytes: int | None = None

    async def ask(self, request: httpx.Request, target: bytes) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Send a request without a body; status and headers of the answer."""
        asked = h11.Request(method=request.method, target=target, headers=request.headers.raw)
        try:
            await self._stream.send((self._http.send(asked) or b"") + (self._http.send(h11.EndOfMessage()) or b""))
        except BROKEN as error:
            raise httpx.WriteError("the connection broke") from error
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Response):
                headers = [header for header in event.headers if header[0] in PASSED_ON]
                self._body_bytes = _sized_body_bytes(event.status_code, dict(headers))
                return event.status_code, headers

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body as it arrives, transfer coding undone."""
        return self._parsed_body() if self._body_bytes is None else self._sized_body(self._body_bytes)

    async def aclose(self) -> None:
        """Drop the connection; whatever the host still sends is not waited for."""
        await anyio.aclose_forcefully(self._stream)

    async def _parsed_body(self) -> AsyncIterator[bytes]:
        while isinstance(event := await self._next_event(), h11.Data):
            yield bytes(event.data)

    async def _sized_body(self, remaining_bytes: int) -> AsyncIterator[bytes]:
        """Past the parser, which finds nothing in such a body and copies each byte three times."""
        chunk, _ = self._http.trailing_data
        while remaining_bytes:
            chunk = (chunk or await self._read(SIZED_READ_BYTES))[:remaining_bytes]
            if not chunk:
                raise httpx.RemoteProtocolError("the body ends too early")
            remaining_bytes -= len(chunk)
            yield chunk
            chunk = b""

    async def _next_event(self) -> h11.Event:
        try:
            while True:
                event = self._http.next_event()
                if isinstance(event, h11.Event):
                    return event
                self._http.receive_data(await self._read(PARSED_READ_BYTES))
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError("the answer is not HTTP") from error

    async def _read(self, max_bytes: int) -> bytes:
        """What has arrived; nothing at the end."""
        try:
            return await self._stream.receive(max_bytes)
        except anyio.EndOfStream:
            return b""
        except BROKEN as error:
            raise httpx.ReadError("the connection broke") from error


def _sized_body_bytes(status: int, headers: Mapping[bytes, bytes]) -> int | None:
    """[pure] Length of a body in which there is nothing to parse; ``None`` for any other.

    Transfer coding beats a length (RFC 9112 section 6.3). h11 has found the length to be one decimal number.
    """
    length = headers.get(b"content-length")
    if status != httpx.codes.OK or length is None or b"transfer-encoding" in headers:
        return None
    return int(length)
