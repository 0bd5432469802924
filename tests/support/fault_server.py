"""A live HTTP server on loopback that misbehaves in one named way per path.

A fault is a coroutine that gets the connection after the head of the request was read; its name says what it does.
"""

import asyncio
import gzip
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.images import plain

PICTURE = plain(32, 24)
"""The honest answer."""

CHUNK_BYTES = 64 * 1024

NO_PICTURE_BYTES = 1024 * 1024

TINY_CHUNKS_BYTES = 64 * 1024

DRIP_INTERVAL_SECONDS = 0.02
"""Short against the deadlines the tests set: no single read takes long, only the sum does."""


@dataclass
class FaultServer:
    """What happened so far: the head of each request, the address it came in on, the TLS names asked for, the bytes."""

    port: int = 0
    heads: list[bytes] = field(default_factory=list)
    local_addresses: list[str] = field(default_factory=list)
    server_names: list[str | None] = field(default_factory=list)
    bytes_sent: int = 0

    def url(self, path: str, *, host: str = "127.0.0.1", scheme: str = "http") -> str:
        """URL of a fault."""
        return f"{scheme}://{host}:{self.port}{path}"


@dataclass(frozen=True)
class Connection:
    """One client's connection."""

    server: FaultServer
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send ``data``; raises ``ConnectionError`` once the client has gone."""
        self.writer.write(data)
        await self.writer.drain()
        self.server.bytes_sent += len(data)

    async def send_head(self, *headers: str, status: str = "200 OK", content_type: str | None = "image/jpeg") -> None:
        """Send status line and headers."""
        lines = [f"HTTP/1.1 {status}", *headers]
        if content_type is not None:
            lines.append(f"Content-Type: {content_type}")
        await self.send("".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1"))

    async def send_all(self, body: bytes, *headers: str, content_type: str | None = "image/jpeg") -> None:
        """Send a whole answer of status 200 with an honest length."""
        await self.send_head(f"Content-Length: {len(body)}", *headers, content_type=content_type)
        await self.send(body)

    async def until_client_leaves(self) -> None:
        """Wait for the client to close."""
        await self.writer.wait_closed()


Fault = Callable[[Connection], Awaitable[None]]


async def honest(connection: Connection) -> None:
    await connection.send_all(PICTURE)


async def no_picture(connection: Connection) -> None:
    await connection.send_all(bytes(NO_PICTURE_BYTES))


async def media_type_with_parameters(connection: Connection) -> None:
    await connection.send_all(PICTURE, content_type="Image/JPEG; charset=binary")


async def no_length(connection: Connection) -> None:
    await connection.send_head()
    await connection.send(PICTURE)


async def chunked(connection: Connection) -> None:
    await connection.send_head("Transfer-Encoding: chunked")
    await connection.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(PICTURE), PICTURE))


async def compressed_though_not_asked(connection: Connection) -> None:
    await connection.send_all(gzip.compress(PICTURE), "Content-Encoding: gzip")


async def deflated_though_not_asked(connection: Connection) -> None:
    await connection.send_all(zlib.compress(PICTURE), "Content-Encoding: deflate")


async def compressed_and_cut(connection: Connection) -> None:
    await connection.send_all(gzip.compress(PICTURE)[:-20], "Content-Encoding: gzip")


async def not_compressed_as_announced(connection: Connection) -> None:
    await connection.send_all(PICTURE, "Content-Encoding: gzip")


async def neither_a_picture_nor_compressed(connection: Connection) -> None:
    await connection.send_all(b"no picture" * 9, "Content-Encoding: gzip")


async def made_up_encoding_of_a_store(connection: Connection) -> None:
    await connection.send_all(PICTURE, "Content-Encoding: aws-chunked")


async def made_up_encoding_of_a_form(connection: Connection) -> None:
    await connection.send_all(PICTURE, "Content-Encoding: UTF-8")


async def encoding_none(connection: Connection) -> None:
    await connection.send_all(PICTURE, "Content-Encoding: none")


async def framed_as_aws_chunked(connection: Connection) -> None:
    body = b"%x;chunk-signature=%b\r\n%b\r\n" % (len(PICTURE), b"0" * 64, PICTURE)
    await connection.send_all(body, "Content-Encoding: aws-chunked")


async def brotli(connection: Connection) -> None:
    stored = b"\x8f\x05\x80brotli's form\x03"  # a block that is not compressed (RFC 7932 section 9.2)
    await connection.send_all(stored, "Content-Encoding: br")


async def octet_stream(connection: Connection) -> None:
    await connection.send_all(PICTURE, content_type="application/octet-stream")


async def picture_stored_as_text(connection: Connection) -> None:
    await connection.send_all(PICTURE, content_type="text/plain;charset=UTF-8")


async def octet_stream_of_something_else(connection: Connection) -> None:
    await connection.send_all(bytes(100), content_type="application/octet-stream")


async def octet_stream_of_two_bytes(connection: Connection) -> None:
    await connection.send_all(PICTURE[:2], content_type="application/octet-stream")


async def compressed_twice(connection: Connection) -> None:
    await connection.send_all(gzip.compress(gzip.compress(PICTURE)), "Content-Encoding: gzip, gzip")


async def gzip_bomb(connection: Connection) -> None:
    deflate = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    megabyte = bytes(1_000_000)
    bomb = b"".join([deflate.compress(megabyte) for _ in range(300)])
    await connection.send_all(bomb + deflate.flush(), "Content-Encoding: gzip")


async def redirect(connection: Connection) -> None:
    location = f"Location: {connection.server.url('/honest')}"
    await connection.send_head(location, "Content-Length: 0", status="302 Found")


async def redirect_with_a_picture(connection: Connection) -> None:
    location = f"Location: {connection.server.url('/honest')}"
    await connection.send_head(location, f"Content-Length: {len(PICTURE)}", status="301 Moved")
    await connection.send(PICTURE)


async def redirect_to_no_name(connection: Connection) -> None:
    await connection.send_head("Location: http://xn--/", "Content-Length: 0", status="302 Found")


async def redirect_to_no_url(connection: Connection) -> None:
    await connection.send_head("Location: javascript:x", "Content-Length: 0", status="302 Found")


async def cookie_without_end(connection: Connection) -> None:
    await connection.send_all(PICTURE, f"Set-Cookie: a=b; max-age={'9' * 400}")


async def not_found(connection: Connection) -> None:
    await connection.send_head("Content-Length: 0", status="404 Not Found")


async def server_error(connection: Connection) -> None:
    await connection.send_head("Content-Length: 0", status="503 Away")


async def partial_content(connection: Connection) -> None:
    await connection.send_head(f"Content-Length: {len(PICTURE)}", status="206 Partial Content")
    await connection.send(PICTURE)


async def no_content(connection: Connection) -> None:
    await connection.send_head(status="204 No Content")


async def html(connection: Connection) -> None:
    await connection.send_all(b"<html></html>", content_type="text/html")


async def no_content_type(connection: Connection) -> None:
    await connection.send_all(PICTURE, content_type=None)


async def image_somewhere_in_the_type(connection: Connection) -> None:
    await connection.send_all(PICTURE, content_type="text/html; x=image/jpeg")


async def announces_too_much(connection: Connection) -> None:
    await connection.send_head(f"Content-Length: {10 * 1024 * 1024 + 1}")
    await connection.until_client_leaves()


async def sends_without_end(connection: Connection) -> None:
    await connection.send_head()
    while True:
        await connection.send(bytes(CHUNK_BYTES))


async def sends_two_bytes_at_a_time(connection: Connection) -> None:
    await connection.send_head("Transfer-Encoding: chunked")
    await connection.send(b"2\r\nxy\r\n" * (TINY_CHUNKS_BYTES // 2) + b"0\r\n\r\n")


async def sends_chunks_without_end(connection: Connection) -> None:
    await connection.send_head("Transfer-Encoding: chunked")
    while True:
        await connection.send(b"%x\r\n%b\r\n" % (CHUNK_BYTES, bytes(CHUNK_BYTES)))


async def closes_before_the_announced_end(connection: Connection) -> None:
    await connection.send_head(f"Content-Length: {len(PICTURE) + 100}")
    await connection.send(PICTURE)


async def sends_more_than_announced(connection: Connection) -> None:
    await connection.send_head(f"Content-Length: {len(PICTURE)}")
    await connection.send(PICTURE[:-1])
    await connection.send(PICTURE[-1:] + b"and what nobody announced")


async def negative_length(connection: Connection) -> None:
    await connection.send_head("Content-Length: -1")


async def length_of_thousands_of_digits(connection: Connection) -> None:
    await connection.send_head("Content-Length: " + "9" * 5000)


async def two_lengths(connection: Connection) -> None:
    await connection.send_head("Content-Length: 5", f"Content-Length: {len(PICTURE)}")
    await connection.send(PICTURE)


async def closes_at_once(connection: Connection) -> None:
    pass


async def not_http(connection: Connection) -> None:
    await connection.send(b"+OK redis here\r\n" * 10)


async def silent(connection: Connection) -> None:
    await connection.until_client_leaves()


async def silent_after_the_head(connection: Connection) -> None:
    await connection.send_head(f"Content-Length: {len(PICTURE)}")
    await connection.until_client_leaves()


async def drips(connection: Connection) -> None:
    await connection.send_head("Content-Length: 100000")
    while True:
        await connection.send(b"x")
        await asyncio.sleep(DRIP_INTERVAL_SECONDS)


async def drips_headers(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await connection.send(b"X-Drip: 1\r\n")
        await asyncio.sleep(DRIP_INTERVAL_SECONDS)


async def drips_interim_answers(connection: Connection) -> None:
    while True:
        await connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await asyncio.sleep(DRIP_INTERVAL_SECONDS)


async def headers_without_end(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await connection.send(b"X-More: 1\r\n" * 1000)


FAULTS: dict[str, Fault] = {
    f"/{fault.__name__}": fault
    for fault in (
        honest,
        no_picture,
        media_type_with_parameters,
        no_length,
        chunked,
        compressed_though_not_asked,
        deflated_though_not_asked,
        compressed_and_cut,
        not_compressed_as_announced,
        brotli,
        neither_a_picture_nor_compressed,
        made_up_encoding_of_a_store,
        made_up_encoding_of_a_form,
        encoding_none,
        framed_as_aws_chunked,
        octet_stream,
        picture_stored_as_text,
        octet_stream_of_something_else,
        octet_stream_of_two_bytes,
        compressed_twice,
        gzip_bomb,
        redirect,
        redirect_with_a_picture,
        redirect_to_no_name,
        redirect_to_no_url,
        cookie_without_end,
        not_found,
        server_error,
        partial_content,
        no_content,
        html,
        no_content_type,
        image_somewhere_in_the_type,
        announces_too_much,
        sends_without_end,
        sends_two_bytes_at_a_time,
        sends_chunks_without_end,
        closes_before_the_announced_end,
        sends_more_than_announced,
        negative_length,
        length_of_thousands_of_digits,
        two_lengths,
        closes_at_once,
        not_http,
        silent,
        silent_after_the_head,
        drips,
        drips_headers,
        drips_interim_answers,
        headers_without_end,
    )
}
"""Path → what it does."""


@asynccontextmanager
async def fault_server(
    *, tls: ssl.SSLContext | None = None, hosts: Sequence[str] = ("127.0.0.1",)
) -> AsyncIterator[FaultServer]:
    """Run the server on one free port, the same on every address in ``hosts``, while the block runs."""
    server = FaultServer()
    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: server.server_names.append(name)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            server.heads.append(head)
            server.local_addresses.append(writer.get_extra_info("sockname")[0])
            await FAULTS[head.split(b" ")[1].partition(b"?")[0].decode()](Connection(server, writer))
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the client had enough, which is what most faults are for
        finally:
            writer.close()

    listeners: list[asyncio.Server] = []
    try:
        for host in hosts:
            listeners.append(await asyncio.start_server(answer, host, server.port, ssl=tls))
            server.port = listeners[0].sockets[0].getsockname()[1]
        yield server
    finally:
        for listener in listeners:
            listener.close()
