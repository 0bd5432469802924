"""A reply parser that refuses a long reply before it is read.

redis-py reads a reply whole, and Redis lets one list element have 512 MB (redis.conf, ``proto-max-bulk-len``). RESP
says the length of a bulk string before its bytes (https://redis.io/docs/latest/develop/reference/protocol-spec/), so a
client can decide at the header.
"""

import socket
from typing import Any, Final

import redis
from redis._parsers.resp2 import _RESP2Parser
from redis._parsers.socket import SocketBuffer

PROTOCOL: Final = 2
"""With RESP3 redis-py would put its own parser in the place of this one."""


class ReplyTooLarge(redis.ConnectionError):
    """Redis answered with more bytes than asked for at most. The command was carried out, and the answer was not read.

    A ``ConnectionError`` because the rest of the answer is still on its way: redis-py drops the connection.
    """

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"a reply of {size_bytes} bytes was refused; at most {limit_bytes} are read")
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class _BoundedBuffer(SocketBuffer):
    def __init__(
        self, connected: socket.socket, socket_read_size: int, socket_timeout: float, *, limit_bytes: int
    ) -> None:
        super().__init__(connected, socket_read_size, socket_timeout)
        self._limit_bytes = limit_bytes

    def read(self, length: int) -> bytes:
        if length > self._limit_bytes:
            raise ReplyTooLarge(length, self._limit_bytes)
        return super().read(length)


class BoundedParser(_RESP2Parser):
    """redis-py's RESP2 parser with a limit for each bulk string; for ``parser_class``, with the limit bound to it.

    It relies on two inner classes of redis-py 6.4.0, which is pinned (docs/adr/0003).
    """

    def __init__(self, socket_read_size: int, *, limit_bytes: int) -> None:
        super().__init__(socket_read_size)  # type: ignore[no-untyped-call] # redis-py has no types here
        self._limit_bytes = limit_bytes

    def on_connect(self, connection: Any) -> None:
        """Called by redis-py when the socket is connected."""
        super().on_connect(connection)  # type: ignore[no-untyped-call] # redis-py has no types here
        self._buffer = _BoundedBuffer(
            connection._sock,  # noqa: SLF001 - where the base class has it from
            self.socket_read_size,
            connection.socket_timeout,
            limit_bytes=self._limit_bytes,
        )
