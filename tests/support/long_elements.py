"""Queue elements longer than any task, and a way to push one that the test itself could not hold."""

import socket
from typing import Final

from sandbox.servers.redis import LocalRedis
from worker.elements import MAX_ELEMENT_BYTES

CHUNK_BYTES: Final = 1024 * 1024
REPLY_SECONDS: Final = 30.0


def long_element(payload: str, *, size_bytes: int = 2 * MAX_ELEMENT_BYTES, filler: bytes = b"x") -> bytes:
    """A task that is too long because of a field nobody knows; its session is named near its beginning."""
    head, tail = _around(payload)
    return head + filler * (size_bytes - len(head) - len(tail)) + tail


def push_streaming(server: LocalRedis, key: str, payload: str, size_bytes: int) -> None:
    """LPUSH the same in pieces, as RESP lets a client do it, so that only Redis holds it whole."""
    head, tail = _around(payload)
    with socket.create_connection((server.host, server.port), timeout=REPLY_SECONDS) as connection:
        connection.sendall(b"*3\r\n$5\r\nLPUSH\r\n$%d\r\n%s\r\n$%d\r\n%s" % (len(key), key.encode(), size_bytes, head))
        left = size_bytes - len(head) - len(tail)
        while left:
            left -= connection.send(b"x" * min(left, CHUNK_BYTES))
        connection.sendall(tail + b"\r\n")
        answer = connection.recv(CHUNK_BYTES)
    if not answer.startswith(b":"):
        raise RuntimeError(f"LPUSH was answered with {answer!r}")


def _around(payload: str) -> tuple[bytes, bytes]:
    return payload[:-1].encode() + b', "unknown": "', b'"}'
