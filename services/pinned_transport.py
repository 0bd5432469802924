"""httpx over one connection to one given address (RFC 9112), for hosts that are not trusted.

httpx's own transport looks names up by itself, keeps a pool and takes the address from the URL. Here the address was
checked before, the connection goes there and nowhere else, and the certificate is verified against the host's name. It
serves one request, for half the processor time (docs/adr/0016-a-transport-pinned-to-one-address.md).
"""

import asyncio
import ssl
from collections.abc import AsyncIterator

import h11
import httpx

from services.url_guard import FetchTarget

READ_BYTES = 64 * 1024
"""One network read at most; asyncio holds back a sender that is two of them ahead."""

MAX_HEAD_BYTES = 64 * 1024
"""Status line and headers of an answer; real ones have about one."""


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
            httpx.ReadError: the connection broke.
            httpx.RemoteProtocolError: the answer is not HTTP.
        """
        reader, writer = await self._connect()
        answer = _Answer(reader, writer)
        try:
            status, headers = await answer.ask(request, self._target.request_target)
            return httpx.Response(status, headers=headers, stream=answer)
        except BaseException:
            await answer.aclose()
            raise

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        secure = self._target.scheme == "https"
        try:
            async with asyncio.timeout(self._connect_timeout_seconds):
                return await asyncio.open_connection(
                    self._address,
                    self._target.port,
                    limit=READ_BYTES,
                    ssl=self._ssl_context if secure else None,
                    server_hostname=self._target.host if secure else None,
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout("no connection in time") from error
        except (OSError, ssl.CertificateError) as error:
            raise httpx.ConnectError("no connection") from error


class _Answer(httpx.AsyncByteStream):
    """One exchange on one connection; as a stream, the answer's body."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)

    async def ask(self, request: httpx.Request, target: bytes) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Send a request without a body; status and headers of the answer."""
        asked = h11.Request(method=request.method, target=target, headers=request.headers.raw)
        self._writer.write((self._http.send(asked) or b"") + (self._http.send(h11.EndOfMessage()) or b""))
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Response):
                return event.status_code, list(event.headers)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The body as it arrives, transfer coding undone."""
        while isinstance(event := await self._next_event(), h11.Data):
            yield bytes(event.data)

    async def aclose(self) -> None:
        """Drop the connection; whatever the host still sends is not waited for."""
        self._writer.transport.abort()

    async def _next_event(self) -> h11.Event:
        try:
            while True:
                event = self._http.next_event()
                if isinstance(event, h11.Event):
                    return event
                self._http.receive_data(await self._reader.read(READ_BYTES))
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError("the answer is not HTTP") from error
        except OSError as error:
            raise httpx.ReadError("the connection broke") from error
