"""The only downloader of pictures, for generation and size recommendation.

Pattern 5, FR-1.3, NFR-1.5, NFR-3.1, NFR-3.2.

The name is resolved once, every answer is checked, and the connection goes to exactly one of the checked addresses, so
a name that changes its answer between check and use (DNS rebinding) gains nothing. Certificates are verified against
the name. Nothing is followed, nothing is read from the environment, and bytes and time are bounded as they arrive.
"""

import asyncio
import io
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field

import httpx

from models.failures import ImageAddressRefused, ImageTooLarge, ImageUnreachable, ImageWithoutType, NotAnImage
from services.byte_budget import Holding
from services.fetching.pinned_transport import PinnedTransport
from services.fetching.url_guard import FetchTarget, TrustedHosts, check_address, check_url
from services.images.signatures import SNIFFED_BYTES, looks_like_a_picture
from services.tls import public_client_context

MAX_DOWNLOAD_BYTES = 10 * 1024 * 1024
"""NFR-3.2, counted on the wire and again after any decompression."""

DOWNLOAD_DEADLINE_SECONDS = 30.0
"""NFR-1.5: for the whole download, from resolving the name to the last byte, however slowly the bytes arrive."""

CONNECT_TIMEOUT_SECONDS = 8.0
"""For one address, TLS included: when the first address does not answer, the deadline leaves time for two more."""

MAX_ADDRESSES_TRIED = 4
"""More than any real host needs. A bound, so that a name with hundreds of addresses cannot use us as a port scanner."""

RESOLVER_THREADS = 256
"""A lookup blocks its thread. These threads are our own: a closing event loop waits for its default threads, and a name
server that does not answer (some 10 s) would extend the deadline by that. There are more than tasks run at once, so
that the lookups of one shop with such a server do not delay the others; threads are made only when needed."""

USER_AGENT = "wearon-worker"

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host name and port in, addresses in the order to try out; raises ``OSError`` when there are none."""

_ZLIB_WINDOW_BITS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
"""Format selectors of zlib (https://zlib.net/manual.html#Advanced, inflateInit2)."""

_resolver_pool = ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="resolve")


@dataclass(frozen=True, slots=True)
class DownloadedImage:
    """What a host sent as a picture; not yet known to be one (``services/images/processor.py`` decides).

    ``content_type`` is the media type alone, lower-case, without parameters.
    """

    data: bytes = field(repr=False)
    content_type: str


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What one download may take."""

    max_bytes: int
    deadline: asyncio.Timeout
    memory: Holding | None


async def download_image(
    url: str,
    *,
    trusted_hosts: TrustedHosts,
    deadline_seconds: float = DOWNLOAD_DEADLINE_SECONDS,
    max_bytes: int = MAX_DOWNLOAD_BYTES,
    memory: Holding | None = None,
    resolve: Resolver | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> DownloadedImage:
    """Download one picture.

    Args:
        url: as the producer wrote it; its path and query are sent unchanged.
        trusted_hosts: hosts that may have any address and port; no other rule is lifted for them.
        deadline_seconds: for everything together but waiting for ``memory``, which is not the host's doing.
        max_bytes: for the body, as sent and as decompressed.
        memory: holds the body as it grows; the caller gives it back. Nothing is accounted for without one.
        resolve: looks a name up; the system's resolver by default.
        ssl_context: verifies certificates; the bundled public authorities by default.

    Raises:
        ImageAddressRefused: the URL, or any address its name resolves to, may not be fetched.
        ImageUnreachable: no complete answer in time, an error status or a redirect.
        ImageTooLarge: the body has more than ``max_bytes``.
        NotAnImage: the content type is not ``image/*``, and neither are the bytes.
        ImageWithoutType: the content type is not ``image/*``, but the bytes begin like a picture.
        ShuttingDown: the process is shutting down and there was no memory yet.
    """
    target = check_url(url, trusted_hosts)
    try:
        async with asyncio.timeout(deadline_seconds) as deadline:
            addresses = await _checked_addresses(target, resolve or resolve_host)
            bounds = _Bounds(max_bytes, deadline, memory)
            return await _fetch(target, addresses, bounds, ssl_context or public_client_context())
    except TimeoutError:
        raise ImageUnreachable(f"{target.host}: not complete within {deadline_seconds:g} s") from None


async def resolve_host(host: str, port: int) -> Sequence[str]:
    """Addresses of a name from the system's resolver, best first (RFC 6724), each once.

    Raises:
        OSError: the name does not resolve.
    """
    answers = await asyncio.get_running_loop().run_in_executor(
        _resolver_pool, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    )
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in answers))


async def _checked_addresses(target: FetchTarget, resolve: Resolver) -> Sequence[str]:
    """Every address the connection may go to; one refused answer refuses the name, as the others are no better."""
    if target.address is not None:
        return [str(target.address)]  # judged by check_url
    try:
        addresses = await resolve(target.host, target.port)
    except (OSError, UnicodeError):
        addresses = []
    if not addresses:
        raise ImageUnreachable(f"{target.host}: the name does not resolve")
    if not target.is_trusted:
        for address in addresses:
            try:
                check_address(address)
            except ImageAddressRefused as refused:
                raise ImageAddressRefused(f"{target.host}: {refused.reason}") from None
    return addresses[:MAX_ADDRESSES_TRIED]


async def _fetch(
    target: FetchTarget, addresses: Sequence[str], bounds: _Bounds, ssl_context: ssl.SSLContext
) -> DownloadedImage:
    """Ask the first address that lets us connect; the library's errors end here."""
    failure = ImageUnreachable(f"{target.host}: no connection")
    for address in addresses:
        transport = PinnedTransport(
            target, address, ssl_context=ssl_context, connect_timeout_seconds=CONNECT_TIMEOUT_SECONDS
        )
        try:
            return await _fetch_through(transport, target, address, bounds)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            failure = ImageUnreachable(f"{target.host}: {_connect_reason(error)}")
        except (httpx.HTTPError, OSError):  # its text may hold the address
            raise ImageUnreachable(f"{target.host}: the answer broke off or was not HTTP") from None
    raise failure


async def _fetch_through(
    transport: PinnedTransport, target: FetchTarget, address: str, bounds: _Bounds
) -> DownloadedImage:
    """One request to one checked address.

    The URL given to the library holds the address and nothing else: its errors may tell it, and path and query of a
    signed URL are a credential. The transport knows them. There is no client around the transport: what that adds
    (redirects, cookies, a log line) is not wanted here, and took a sixth of a fetch's processor time.
    """
    authority = f"[{address}]" if ":" in address else address
    request = httpx.Request("GET", f"{target.scheme}://{authority}/", headers=_request_headers(target))
    async with aclosing(await transport.handle_async_request(request)) as response:
        _refuse_other_answers(response, target.host, bounds.max_bytes)
        beginning, chunks = await _first_look(_bounded(response.aiter_raw(), bounds.max_bytes))
        content_type = _accepted_content_type(response, target.host, beginning)
        return DownloadedImage(await _read_body(response, beginning, chunks, target.host, bounds), content_type)


def _request_headers(target: FetchTarget) -> dict[str, str]:
    return {
        "Host": target.host_header,
        "Accept": "image/*",
        "Accept-Encoding": "identity",
        "User-Agent": USER_AGENT,
        "Connection": "close",
    }


def _refuse_other_answers(response: httpx.Response, host: str, max_bytes: int) -> None:
    if response.is_redirect:
        raise ImageUnreachable(f"{host}: redirects are not followed", status=response.status_code)
    if response.status_code != httpx.codes.OK:
        raise ImageUnreachable(f"{host}: error status", status=response.status_code)
    declared = _declared_bytes(response)
    if declared is not None and declared > max_bytes:
        raise ImageTooLarge(limit=max_bytes, unit="bytes")


def _declared_bytes(response: httpx.Response) -> int | None:
    declared = response.headers.get("content-length", "")
    return int(declared) if declared.isdecimal() else None


async def _first_look(chunks: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    """The body's first bytes, as many as show what it is, and the whole of it."""
    beginning = b""
    async for chunk in chunks:
        beginning += chunk
        if len(beginning) >= SNIFFED_BYTES:
            break

    async def whole() -> AsyncIterator[bytes]:
        yield beginning
        async for chunk in chunks:
            yield chunk

    return beginning, whole()


def _accepted_content_type(response: httpx.Response, host: str, beginning: bytes) -> str:
    media_type = str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()
    if not media_type.startswith("image/"):
        if looks_like_a_picture(beginning):
            raise ImageWithoutType(f"{host}: a picture, but the content type is not image/*")
        raise NotAnImage(f"{host}: the content type is not image/*")
    return media_type


async def _read_body(
    response: httpx.Response, beginning: bytes, chunks: AsyncIterator[bytes], host: str, bounds: _Bounds
) -> bytes:
    """The body. At most one network read more than the budget has granted is in memory."""
    at_most_bytes = bounds.max_bytes
    declared = _declared_bytes(response)
    encoding = response.headers.get("content-encoding", "").strip().lower()
    # Object stores repeat whatever the upload named ("aws-chunked", "UTF-8", "none"), so the bytes decide.
    if encoding in {"", "identity"} or looks_like_a_picture(beginning):
        if declared is not None and "transfer-encoding" not in response.headers:
            at_most_bytes = declared
    elif encoding in _ZLIB_WINDOW_BITS:
        chunks = _inflated(chunks, _ZLIB_WINDOW_BITS[encoding], host, bounds.max_bytes)
    else:
        raise ImageUnreachable(f"{host}: the content encoding was not asked for")
    # One buffer, no list of chunks: each chunk of a host that sends two bytes at a time would cost an object of fifty.
    body = io.BytesIO()
    async for chunk in chunks:
        await _hold(bounds, body.tell() + len(chunk), at_most_bytes)
        body.write(chunk)
    return body.getvalue()


async def _hold(bounds: _Bounds, size_bytes: int, at_most_bytes: int) -> None:
    if bounds.memory is None or bounds.memory.try_hold(size_bytes, at_most_bytes):
        return
    with _paused(bounds.deadline):
        await bounds.memory.hold(size_bytes, at_most_bytes)


@contextmanager
def _paused(deadline: asyncio.Timeout) -> Iterator[None]:
    """Time spent inside does not count against the deadline."""
    loop, ends_at = asyncio.get_running_loop(), deadline.when()
    if ends_at is None:
        yield
        return
    left_seconds = ends_at - loop.time()
    deadline.reschedule(None)
    yield
    deadline.reschedule(loop.time() + left_seconds)


async def _bounded(chunks: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[bytes]:
    remaining = max_bytes
    async for chunk in chunks:
        remaining -= len(chunk)
        if remaining < 0:
            raise ImageTooLarge(limit=max_bytes, unit="bytes")
        yield chunk


async def _inflated(chunks: AsyncIterator[bytes], window_bits: int, host: str, max_bytes: int) -> AsyncIterator[bytes]:
    """Undo a compression nobody asked for, as some hosts compress regardless.

    Ours and not the library's: its decoders inflate a whole network read at once, a thousandfold if need be.
    """
    inflate = zlib.decompressobj(window_bits)
    remaining = max_bytes
    try:
        async for chunk in chunks:
            inflated = inflate.decompress(chunk, remaining + 1)
            remaining -= len(inflated)
            if remaining < 0:
                raise ImageTooLarge(limit=max_bytes, unit="bytes")
            yield inflated
    except zlib.error:
        raise ImageUnreachable(f"{host}: the compressed answer is broken") from None
    if not inflate.eof:
        raise ImageUnreachable(f"{host}: the compressed answer is incomplete")


def _connect_reason(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.ConnectTimeout):
        return "no connection in time"
    if any(isinstance(cause, ssl.SSLError) for cause in _causes(error)):
        return "no trusted TLS connection"
    return "no connection"


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
