"""Network namespaces: the host under test has one, the internet around it another, this machine keeps its own.

Docker writes firewall rules, bridges and ``ip_forward`` into the namespace it runs in, so they go with the namespace,
and ports 80 and 443 are free in it whatever this machine serves.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.infra.engine.commands import attempt, run

CLONE_NEWNET: Final = 0x40000000
"""Of ``setns(2)``: the file is a network namespace. Python has ``os.setns`` from 3.12 on only."""

HOST: Final = "wearon-host"
INTERNET: Final = "wearon-internet"
SMALL: Final = "wearon-small"
"""Of the host with a small disk, which is connected to nothing."""

HOST_ADDRESS: Final = "198.51.100.1"
INTERNET_ADDRESS: Final = "198.51.100.2"
"""Of RFC 5737's documentation network: no machine anywhere has them."""

NETWORK_BITS: Final = 24
HOST_LINK: Final = "veth-host"
INTERNET_LINK: Final = "veth-internet"

_libc: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace by the file that stands for it."""

    path: Path

    @classmethod
    def named(cls, name: str) -> "Namespace":
        """One made by :func:`lay_network`."""
        return cls(Path("/run/netns") / name)

    @classmethod
    def of_now(cls) -> "Namespace":
        """Where the main thread is at this moment; it stays known to this process wherever that thread goes."""
        return cls(Path(f"/proc/self/fd/{os.open('/proc/self/ns/net', os.O_RDONLY | os.O_CLOEXEC)}"))

    def enter(self) -> None:
        """Move the calling thread here; threads and processes it starts are born here, others stay where they are."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _set_namespace(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """The calling thread is here for the time of the block; sockets opened in it stay here for ever."""
        back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.enter()
            try:
                yield
            finally:
                _set_namespace(back)
        finally:
            os.close(back)


def _set_namespace(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot move to a network namespace: {os.strerror(number)}")


def lay_network() -> None:
    """The host, the internet and the cable between them; all that the host asks for goes to the internet."""
    for name in (HOST, INTERNET):
        run("ip", "netns", "add", name)
    run("ip", "link", "add", HOST_LINK, "netns", HOST, "type", "veth", "peer", "name", INTERNET_LINK, "netns", INTERNET)
    for name, link, address in ((HOST, HOST_LINK, HOST_ADDRESS), (INTERNET, INTERNET_LINK, INTERNET_ADDRESS)):
        run("ip", "-n", name, "address", "add", f"{address}/{NETWORK_BITS}", "dev", link)
        for device in ("lo", link):
            run("ip", "-n", name, "link", "set", device, "up")
    run("ip", "-n", HOST, "route", "add", "default", "via", INTERNET_ADDRESS)


def remove_network() -> None:
    """All namespaces and everything in them; nothing happens when they are not there."""
    for name in (HOST, INTERNET, SMALL):
        if (Path("/run/netns") / name).exists():
            attempt("ip", "netns", "delete", name)
