"""A name for a server: new connections go to the target of the moment, old ones stay where they are.

That is what a managed Redis does in a failover: the name points elsewhere, and whoever keeps a connection keeps talking
to the server that was demoted.
"""

import asyncio
import threading
from contextlib import suppress

from sandbox.servers.processes import LOOPBACK

CHUNK_BYTES = 65_536
START_SECONDS = 10.0


class Switchboard:
    """A TCP proxy on loopback, in a thread of its own; ``target_port`` may be changed at any time."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="switchboard", daemon=True)

    def start(self) -> None:
        """Listen on a free port, which is ``port`` from then on."""
        self._thread.start()
        if not self._listening.wait(START_SECONDS):
            raise TimeoutError("the switchboard does not listen")

    def stop(self) -> None:
        """Close everything."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connect, LOOPBACK, 0))
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        self._loop.run_forever()
        server.close()
        open_connections = asyncio.all_tasks(self._loop)
        for connection in open_connections:
            connection.cancel()
        self._loop.run_until_complete(asyncio.gather(*open_connections, return_exceptions=True))

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(LOOPBACK, self.target_port)
        except OSError:
            writer.close()
            return
        # Python 3.11's streams would log the cancellation that ends a connection in stop().
        with suppress(asyncio.CancelledError):
            await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
        writer.close()
        there_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes until either side ends; then the other direction ends as well."""
    with suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()
