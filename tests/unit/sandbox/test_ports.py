"""Ports for servers that are killed and started again."""

import random
import socket
from pathlib import Path

import pytest

from sandbox.servers.processes import LOOPBACK, PORTS, free_port

OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_a_port_is_never_one_that_an_outgoing_connection_may_be_given() -> None:
    lowest_outgoing = int(OUTGOING.read_text().split()[0]) if OUTGOING.exists() else PORTS.stop
    assert PORTS.stop <= lowest_outgoing
    assert {free_port() for _ in range(20)} <= set(PORTS)


def test_a_port_somebody_listens_on_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, free = socket.socket(), free_port()
    with taken:
        taken.bind((LOOPBACK, free_port()))
        taken.listen()
        offered = iter([taken.getsockname()[1], free])
        monkeypatch.setattr("secrets.choice", lambda _: next(offered))
        assert free_port() == free


def test_two_processes_whose_random_numbers_begin_alike_get_different_ports() -> None:
    """Hypothesis seeds ``random`` before every test, in all of them alike."""
    random.seed(0)
    ports = [free_port() for _ in range(5)]
    random.seed(0)
    assert [free_port() for _ in range(5)] != ports
