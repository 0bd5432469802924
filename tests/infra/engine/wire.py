"""When requests reach the provider's machine, by the kernel's clock: the moment of their first packet.

A server that shares two processors with a whole stack reads late, and then many at a time; its own count would blame
the worker for that. The kernel stamps a packet when it comes.
"""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sandbox.openai_sim.stats import Stats
from tests.infra.engine.waiting import wait_for

ETHERTYPE_IPV4: Final = 0x0800
PROTOCOL_TCP: Final = 6

SO_RCVBUFFORCE: Final = 33
SO_TIMESTAMPNS: Final = 35
"""``socket(7)``, for which Python has no names: a buffer as large as root wants it, and with each packet the time at
which the kernel got it."""

TIMESPEC: Final = struct.Struct("@qq")
ANCILLARY_BYTES: Final = 128

SEEN_BYTES: Final = 256
"""Of each packet: its two headers and the first words of the request."""

BUFFER_BYTES: Final = 64 * 1024 * 1024
"""What the kernel keeps for a reader without a processor: more than all requests of a proof weigh."""

LOOK_SECONDS: Final = 0.2
READ_WITHIN_SECONDS: Final = 10.0

NANOSECONDS: Final = 1e9


class Wire:
    """Counts the requests whose first packet comes in at one port, from one moment on."""

    def __init__(self, link: str, port: int, first_words: bytes) -> None:
        self._port = port
        self._first_words = first_words
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETHERTYPE_IPV4))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.bind((link, ETHERTYPE_IPV4))
        self._socket.settimeout(LOOK_SECONDS)
        self._arrivals: dict[bytes, float] = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._read, name="the wire", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the counting."""
        self._is_over.set()
        self._thread.join()
        self._socket.close()

    def peak(self, requests: int) -> int:
        """The most in any 60 s, once as many have been seen as the server has counted.

        Raises:
            TimeoutError: the wire has seen fewer: it would prove nothing.
        """
        wait_for(
            f"{requests} requests on the wire", lambda: len(self._arrivals) >= requests, seconds=READ_WITHIN_SECONDS
        )
        stats = Stats()
        for arrival in sorted(self._arrivals.values()):
            stats.arrive(arrival, "on the wire")
        return int(stats.report()["peak_requests_in_60_seconds"])

    def _read(self) -> None:
        while not self._is_over.is_set():
            try:
                packet, ancillary, _, _ = self._socket.recvmsg(SEEN_BYTES, ANCILLARY_BYTES)
            except TimeoutError:
                continue
            key = first_packet_of(packet, self._port, self._first_words)
            if key is not None:  # a packet that is sent again has the same key
                self._arrivals.setdefault(key, _kernel_seconds(ancillary))


@contextmanager
def watched_wire(link: str, port: int, first_words: bytes) -> Iterator[Wire]:
    """From a thread in the namespace that has the link; the socket stays there."""
    wire = Wire(link, port, first_words)
    try:
        yield wire
    finally:
        wire.close()


def first_packet_of(packet: bytes, port: int, first_words: bytes) -> bytes | None:
    """[pure] Where an IPv4 packet stands among all connections, if a request to ``port`` begins in it.

    Addresses, ports and sequence number, as RFC 791 and RFC 9293 lay them out.
    """
    tcp = packet[(packet[0] & 0x0F) * 4 :]
    if packet[9] != PROTOCOL_TCP or int.from_bytes(tcp[2:4], "big") != port:
        return None
    payload = tcp[(tcp[12] >> 4) * 4 :]
    return packet[12:20] + tcp[:8] if payload.startswith(first_words) else None


def _kernel_seconds(ancillary: list[tuple[int, int, bytes]]) -> float:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = TIMESPEC.unpack(data[: TIMESPEC.size])
            return float(seconds + nanoseconds / NANOSECONDS)
    raise LookupError("a packet without the kernel's time")
