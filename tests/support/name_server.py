"""A name server on loopback that says what the test tells it: Docker's DNS for nginx's ``resolver``."""

import socket
import struct
import threading
from collections import Counter
from typing import Final, Self

from sandbox.servers.processes import LOOPBACK

MAX_PACKET_BYTES: Final = 512
TTL_SECONDS: Final = 600
"""What Docker's DNS allows its answers to be kept for."""

TYPE_A: Final = 1
ANSWERED: Final = 0x8180
NO_SUCH_NAME: Final = 0x8183
QUESTION_AT: Final = 12
"""Bytes of the header."""

POINTER_TO_THE_QUESTION: Final = 0xC000 | QUESTION_AT
WAIT_SECONDS: Final = 30.0
"""Bounds a failure only: nginx asks every second or two."""


class NameServer:
    """Answers questions for IPv4 addresses; a context manager.

    ``names`` may be changed at any moment; a name that is not in it does not exist.
    """

    def __init__(self) -> None:
        self.names: dict[str, tuple[str, ...]] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, 0))
        self._asked: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def address(self) -> str:
        """Host and port, as nginx wants them."""
        return "{}:{}".format(*self._socket.getsockname())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join(WAIT_SECONDS)
        self._socket.close()

    def wait_until_asked_again(self, name: str, times: int = 1) -> None:
        """Return when so many questions have been answered with what is in ``names`` now.

        Whoever asks a second time has taken in the first answer.
        """
        with self._changed:
            due = self._asked[name] + times
            if not self._changed.wait_for(lambda: self._answered[name] >= due, WAIT_SECONDS):
                raise AssertionError(f"{name} was not asked for {times} times in {WAIT_SECONDS:.0f} s")

    def _run(self) -> None:
        while True:
            packet, asker = self._socket.recvfrom(MAX_PACKET_BYTES)
            if not packet:
                return
            name, question = _asked_for(packet)
            with self._changed:
                self._asked[name] += 1
            self._socket.sendto(_answer(packet, question, self.names.get(name, ())), asker)
            with self._changed:
                self._answered[name] += 1
                self._changed.notify_all()


def _asked_for(packet: bytes) -> tuple[str, bytes]:
    """[pure] The name that was asked for, and the question's bytes (RFC 1035, 4.1.2)."""
    labels: list[str] = []
    position = QUESTION_AT
    while length := packet[position]:
        labels.append(packet[position + 1 : position + 1 + length].decode("ascii"))
        position += 1 + length
    return ".".join(labels), packet[QUESTION_AT : position + 5]


def _answer(packet: bytes, question: bytes, addresses: tuple[str, ...]) -> bytes:
    """[pure] The answer (RFC 1035, 4.1)."""
    header = packet[:2] + struct.pack("!5H", ANSWERED if addresses else NO_SUCH_NAME, 1, len(addresses), 0, 0)
    records = b"".join(
        struct.pack("!HHHIH", POINTER_TO_THE_QUESTION, TYPE_A, 1, TTL_SECONDS, 4) + socket.inet_aton(address)
        for address in addresses
    )
    return header + question + records
