"""Fetches the photographs of size recommendation, within bounds on places, memory and time.

Apart from measuring: a slow host keeps nobody from the processor, and one host alone takes neither all the places nor
all the memory. What is beyond a bound is refused, so nothing here queues without end.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from services.byte_budget import ByteBudget
from services.fetching.image_download import MAX_DOWNLOAD_BYTES, download_image
from services.fetching.url_guard import TrustedHosts, check_url
from size_rec.problems import Overloaded, PhotoTooSlow

MAX_DOWNLOADS: Final = 128
"""Photographs being fetched at a time. Ten times what honest hosts need (12 a second at under a second each); a silent
download costs a socket and some 100 kB."""

MAX_DOWNLOADS_PER_HOST: Final = 32
"""Of these, from one host name. Most photographs come from the platform's one storage, which needs about ten."""

PHOTO_MEMORY_BYTES: Final = 64 * 1024 * 1024
"""For photographs from their first byte to their measures; 40 MiB is the least that 10 MB photographs allow. A host may
hold half of it: three of the largest, or sixteen of 2 MB."""


class PhotoFetcher:
    """Belongs to one event loop.

    Args:
        trusted_hosts: whose photographs may come from private addresses.
        max_downloads: at a time, over all hosts.
        max_downloads_per_host: at a time, from one host name.
        memory: what the photographs are paid from; one of ``PHOTO_MEMORY_BYTES`` by default.
    """

    def __init__(
        self,
        trusted_hosts: TrustedHosts,
        *,
        max_downloads: int = MAX_DOWNLOADS,
        max_downloads_per_host: int = MAX_DOWNLOADS_PER_HOST,
        memory: ByteBudget | None = None,
    ) -> None:
        self._trusted_hosts = trusted_hosts
        self._max_downloads = max_downloads
        self._max_downloads_per_host = max_downloads_per_host
        self._memory = memory or ByteBudget(PHOTO_MEMORY_BYTES, largest_bytes=MAX_DOWNLOAD_BYTES)
        self._downloads: Counter[str] = Counter()

    @asynccontextmanager
    async def photo(self, url: str, *, ends_at: float) -> AsyncIterator[bytes]:
        """The photograph's bytes, accounted for until the ``async with`` block is left.

        Args:
            url: as the caller sent it.
            ends_at: when the download must be complete, in the event loop's time.

        Raises:
            Overloaded: all places are taken, or there was no memory before ``ends_at``.
            PhotoTooSlow: the host did not send all of it before ``ends_at``.
            ImageAddressRefused, ImageUnreachable, ImageTooLarge, ImageWithoutType, NotAnImage: as ``download_image``.
        """
        host = check_url(url, self._trusted_hosts).host
        waits_for_memory = False

        @contextmanager
        def noting_the_wait() -> Iterator[None]:
            nonlocal waits_for_memory
            waits_for_memory = True
            yield  # an exception leaves it here: then the wait was in vain
            waits_for_memory = False

        with self._memory.holding(host, while_waiting=noting_the_wait) as holding:
            try:
                async with asyncio.timeout_at(ends_at):
                    with self._place(host):
                        photo = await download_image(url, trusted_hosts=self._trusted_hosts, memory=holding)
            except TimeoutError:
                raise (Overloaded if waits_for_memory else PhotoTooSlow) from None
            yield photo.data

    @contextmanager
    def _place(self, host: str) -> Iterator[None]:
        if self._downloads.total() >= self._max_downloads or self._downloads[host] >= self._max_downloads_per_host:
            raise Overloaded
        self._downloads[host] += 1
        try:
            yield
        finally:
            self._downloads[host] -= 1
            if not self._downloads[host]:
                del self._downloads[host]
