"""The bounds on fetching photographs for size recommendation, against real hosts on loopback."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from services.byte_budget import ByteBudget, Holding
from services.fetching.image_download import DOWNLOAD_DEADLINE_SECONDS
from services.fetching.url_guard import TrustedHosts
from size_rec.photo_fetching import PhotoFetcher
from size_rec.problems import Overloaded, PhotoTooSlow
from tests.support.clock import SteppableLoop, run_in, sleep_at_once

SLOW_HOST, OTHER_HOST = "127.0.0.1", "127.0.0.2"
LOOPBACK = TrustedHosts.parse((SLOW_HOST, OTHER_HOST))
PATIENT_SECONDS = 60.0
SHORT_SECONDS = DOWNLOAD_DEADLINE_SECONDS / 3
"""A test lets so much of the loop's time pass at once."""
POLL_SECONDS = 0.01
LARGEST_BYTES = 64 * 1024
MEMORY_BYTES = 4 * LARGEST_BYTES
"""The least that ``ByteBudget`` takes for photographs of this size. A host may hold two of them."""
STALLED_BYTES = 16 * 1024
STALLED = 8
"""All together send as much as a host may hold; what the last ones lack is more than there is."""


@dataclass
class PhotoHost:
    """Announces ``LARGEST_BYTES`` to everybody and sends them all to those who ask for ``/good``; to those who ask for
    ``/stalls`` it sends ``STALLED_BYTES``, to all others nothing."""

    port: int = 0
    asked: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    def url(self, path: str, host: str = SLOW_HOST) -> str:
        return f"http://{host}:{self.port}{path}"

    async def was_asked(self, times: int) -> None:
        """Wait until that many have asked and got what they get."""
        for _ in range(times):
            await self.asked.get()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        size_bytes = {"/good": LARGEST_BYTES, "/stalls": STALLED_BYTES}.get(path, 0)
        with contextlib.suppress(ConnectionError):
            if size_bytes:
                head = f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {LARGEST_BYTES}\r\n\r\n"
                writer.write(head.encode() + bytes(size_bytes))
                await writer.drain()
            self.asked.put_nowait(path)
            if size_bytes < LARGEST_BYTES:
                await reader.read()  # until the client leaves
        writer.close()


def with_host(use: Callable[[PhotoHost], Awaitable[None]]) -> None:
    async def run() -> None:
        host = PhotoHost()
        async with asyncio.timeout(PATIENT_SECONDS), contextlib.AsyncExitStack() as open_servers:
            for address in (SLOW_HOST, OTHER_HOST):
                server = await asyncio.start_server(host.answer, address, host.port)
                host.port = server.sockets[0].getsockname()[1]
                open_servers.callback(server.close)
            await use(host)

    run_in(SteppableLoop(), run())


async def fetch(photos: PhotoFetcher, url: str, seconds: float = PATIENT_SECONDS) -> int:
    """The photograph's size in bytes."""
    async with photos.photo(url, ends_at=asyncio.get_running_loop().time() + seconds) as photo:
        return len(photo)


async def end(tasks: list[asyncio.Task[int]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class SmallMemory(ByteBudget):
    """Keeps which tasks had to ask for all that their photograph needs."""

    def __init__(self) -> None:
        super().__init__(MEMORY_BYTES, largest_bytes=LARGEST_BYTES)
        self._askers: set[asyncio.Task[Any] | None] = set()

    def reserve(self, holding: Holding, at_most_bytes: int) -> asyncio.Event:
        self._askers.add(asyncio.current_task())
        return super().reserve(holding, at_most_bytes)

    async def was_asked(self, *tasks: asyncio.Task[int]) -> None:
        """Wait until one of these has asked, or is done."""
        while self._askers.isdisjoint(tasks) and not any(task.done() for task in tasks):  # noqa: ASYNC110  # no event
            await asyncio.sleep(POLL_SECONDS)


def test_a_silent_host_takes_its_own_places_only() -> None:
    async def run(host: PhotoHost) -> None:
        photos = PhotoFetcher(LOOPBACK, max_downloads=5, max_downloads_per_host=3)
        silent = [asyncio.create_task(fetch(photos, host.url("/silent"))) for _ in range(3)]
        await host.was_asked(3)
        with pytest.raises(Overloaded):
            await fetch(photos, host.url("/good"))
        assert await fetch(photos, host.url("/good", OTHER_HOST)) == LARGEST_BYTES
        await end(silent)
        assert await fetch(photos, host.url("/good")) == LARGEST_BYTES

    with_host(run)


def test_all_hosts_together_have_a_bound_too() -> None:
    async def run(host: PhotoHost) -> None:
        photos = PhotoFetcher(LOOPBACK, max_downloads=2, max_downloads_per_host=2)
        silent = [asyncio.create_task(fetch(photos, host.url("/silent", each))) for each in (SLOW_HOST, OTHER_HOST)]
        await host.was_asked(2)
        with pytest.raises(Overloaded):
            await fetch(photos, host.url("/good"))
        await end(silent)

    with_host(run)


def test_a_fetched_photograph_keeps_its_memory_but_no_place_until_it_is_measured() -> None:
    async def run(host: PhotoHost) -> None:
        memory = SmallMemory()
        photos = PhotoFetcher(LOOPBACK, max_downloads=1, max_downloads_per_host=1, memory=memory)
        ends_at = asyncio.get_running_loop().time() + PATIENT_SECONDS
        async with photos.photo(host.url("/good"), ends_at=ends_at):
            async with photos.photo(host.url("/good"), ends_at=ends_at):
                third = asyncio.create_task(fetch(photos, host.url("/good"), SHORT_SECONDS))
                await memory.was_asked(third)
                await sleep_at_once(SHORT_SECONDS)
                with pytest.raises(Overloaded):
                    await third
            assert await fetch(photos, host.url("/good")) == LARGEST_BYTES

    with_host(run)


def test_hosts_that_stop_halfway_hold_no_more_than_their_share_and_keep_no_other_host_waiting() -> None:
    async def run(host: PhotoHost) -> None:
        memory = SmallMemory()
        photos = PhotoFetcher(LOOPBACK, memory=memory)
        stalled = [asyncio.create_task(fetch(photos, host.url("/stalls"))) for _ in range(STALLED)]
        await memory.was_asked(*stalled)
        good = asyncio.create_task(fetch(photos, host.url("/good"), SHORT_SECONDS))
        await memory.was_asked(good)
        await sleep_at_once(SHORT_SECONDS)
        with pytest.raises(Overloaded):
            await good
        assert await fetch(photos, host.url("/good", OTHER_HOST), SHORT_SECONDS) == LARGEST_BYTES
        await end(stalled)
        assert await fetch(photos, host.url("/good")) == LARGEST_BYTES

    with_host(run)


@pytest.mark.parametrize("path", ["/silent", "/stalls"])
def test_a_host_that_is_not_done_in_time_is_told_from_an_overload(path: str) -> None:
    async def run(host: PhotoHost) -> None:
        photos = PhotoFetcher(LOOPBACK, memory=SmallMemory())
        slow = asyncio.create_task(fetch(photos, host.url(path), SHORT_SECONDS))
        await host.was_asked(1)
        await sleep_at_once(SHORT_SECONDS)
        with pytest.raises(PhotoTooSlow):
            await slow
        assert await fetch(photos, host.url("/good")) == LARGEST_BYTES

    with_host(run)


def test_a_host_that_stalls_after_a_wait_for_memory_is_told_from_an_overload() -> None:
    async def run(host: PhotoHost) -> None:
        memory = SmallMemory()
        photos = PhotoFetcher(LOOPBACK, memory=memory)
        ends_at = asyncio.get_running_loop().time() + PATIENT_SECONDS
        async with photos.photo(host.url("/good"), ends_at=ends_at), photos.photo(host.url("/good"), ends_at=ends_at):
            third = asyncio.create_task(fetch(photos, host.url("/stalls"), SHORT_SECONDS))
            await memory.was_asked(third)
        await sleep_at_once(SHORT_SECONDS)
        with pytest.raises(PhotoTooSlow):
            await third

    with_host(run)
