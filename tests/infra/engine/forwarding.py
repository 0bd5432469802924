"""Doors between namespaces: a TCP forwarder, and the proxy through which a build fetches its packages.

A socket belongs to the namespace of the thread that opened it. So the listening one is opened where callers are, and
a thread of its own connects from where the target is.
"""

import asyncio
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tests.infra.engine.namespaces import Namespace

CHUNK_BYTES: Final = 65_536
START_SECONDS: Final = 10.0

Address = tuple[str, int]
"""Host and port."""


@dataclass(frozen=True, slots=True)
class Route:
    """What a connection's first words ask for, and what is said to them before the bytes flow."""

    target: Address
    greeting: bytes = b""
    """To the caller, once the target is there."""


class Door(ABC):
    """Listens on ``address`` in one namespace and connects from another, for as long as the block around it lasts."""

    def __init__(self, name: str, listening: socket.socket, *, leads_to: Namespace) -> None:
        self.address: Address = listening.getsockname()[:2]
        self._name = name
        self._listening = listening
        self._leads_to = leads_to
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    async def route(self, reader: asyncio.StreamReader) -> Route:
        """Where this connection goes. Raises ``OSError`` or ``ValueError`` to end it."""

    def start(self) -> None:
        """Take connections from now on."""
        self._thread.start()
        if not self._ready.wait(START_SECONDS):
            raise TimeoutError(f"the door {self._name} does not open")

    def stop(self) -> None:
        """End every connection and the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        self._leads_to.enter()
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, sock=self._listening))
        self._ready.set()
        self._loop.run_forever()
        server.close()
        connections = asyncio.all_tasks(self._loop)
        for connection in connections:
            connection.cancel()
        self._loop.run_until_complete(asyncio.gather(*connections, return_exceptions=True))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):
            try:
                route = await self.route(reader)
                there_reader, there_writer = await asyncio.open_connection(*route.target)
            except (OSError, ValueError, asyncio.IncompleteReadError):
                writer.close()
                return
            writer.write(route.greeting)
            await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))


class Forwarder(Door):
    """Every connection goes to the target of the moment."""

    def __init__(
        self, name: str, listening: socket.socket, *, leads_to: Namespace, target: Callable[[], Address]
    ) -> None:
        super().__init__(name, listening, leads_to=leads_to)
        self._target = target

    async def route(self, reader: asyncio.StreamReader) -> Route:
        """Ask for the target in a thread, since that may ask the engine."""
        return Route(await asyncio.to_thread(self._target))


class PackageProxy(Door):
    """An HTTP proxy that knows CONNECT alone: what pip needs to reach a package server from inside a build."""

    async def route(self, reader: asyncio.StreamReader) -> Route:
        """From the request's first line, ``CONNECT host:port HTTP/1.1``."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, where, _ = head.split("\r\n", 1)[0].split(" ")
        if method != "CONNECT":
            raise ValueError(f"{method} is not for this proxy")
        host, _, port = where.rpartition(":")
        return Route((host, int(port)), b"HTTP/1.1 200 OK\r\n\r\n")


def listen(address: Address, *, inside: Namespace) -> socket.socket:
    """A listening socket that stays in that namespace."""
    with inside.inside():
        return socket.create_server(address)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.close()
