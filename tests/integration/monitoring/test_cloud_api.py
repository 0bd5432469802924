"""The call to Meta ends in a verdict, however the other side behaves."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import pytest

from monitoring.whatsapp_bridge.answers import Action, Result, Verdict
from monitoring.whatsapp_bridge.cloud_api import LARGEST_ANSWER_BYTES, CloudApi
from monitoring.whatsapp_bridge.settings import load
from sandbox.whatsapp_sim import WhatsAppSim
from sandbox.whatsapp_sim.server import PAIR_BURST, PAIR_INTERVAL_SECONDS

TO: Final = "+4915112345678"
TEXT: Final = ("CRITICAL: Redis is away", "worker.example.com", "It does not answer", "https://example.com/x.md")
HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\n\r\n"

ALLOWED_SECONDS: Final = 0.5
"""For the whole answer, in these tests."""

SILENT_SECONDS: Final = 60.0
"""Until a server that does not answer ends; who gives it up does so long before."""


def drip(connection: socket.socket) -> None:
    """A byte now and then, each long before a read would time out."""
    connection.sendall(HEAD)
    until = time.monotonic() + SILENT_SECONDS
    while time.monotonic() < until:
        connection.sendall(b" ")
        time.sleep(0.05)


def hang(connection: socket.socket) -> None:
    """Nothing, until the other side has had enough."""
    connection.settimeout(SILENT_SECONDS)
    while connection.recv(65_536):
        pass


def flood(connection: socket.socket) -> None:
    """Without end."""
    connection.sendall(HEAD)
    while True:
        connection.sendall(b" " * LARGEST_ANSWER_BYTES)


def break_off(connection: socket.socket) -> None:
    """The head, and the connection ends."""
    connection.sendall(HEAD)


def garbage(connection: socket.socket) -> None:
    """No HTTP at all."""
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")


def elsewhere(connection: socket.socket) -> None:
    """A redirect, which would carry the token to another host."""
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")


@contextmanager
def server(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """One that reads a request's beginning and then behaves so; its address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                behave(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()
    thread.join()


def sent(base_url: str, *, answer_seconds: float = ALLOWED_SECONDS) -> Verdict:
    settings = load(
        {
            "WHATSAPP_ACCESS_TOKEN": "EAAtoken",
            "WHATSAPP_PHONE_NUMBER_ID": "106540352242922",
            "WHATSAPP_RECIPIENTS": TO,
            "WHATSAPP_WEBHOOK_SECRET": "a-secret-of-sixteen",
            "WHATSAPP_API_BASE_URL": base_url,
        }
    )
    api = CloudApi(settings, answer_seconds=answer_seconds)
    try:
        return api.send(TEXT, TO)
    finally:
        api.close()


@pytest.mark.parametrize("behave", [drip, hang, flood, break_off, garbage])
def test_what_is_no_answer_is_tried_again_and_does_not_hold_the_sender(behave: Callable[[socket.socket], None]) -> None:
    with server(behave) as base_url:
        started = time.monotonic()
        verdict = sent(base_url)
        assert time.monotonic() - started < SILENT_SECONDS / 2
    assert (verdict.rule.result, verdict.rule.action) == (Result.UNAVAILABLE, Action.RETRY_ALL)
    assert verdict.details


def test_nobody_there_is_tried_again() -> None:
    verdict = sent("http://127.0.0.1:1")
    assert verdict.rule.action is Action.RETRY_ALL
    assert "ConnectError" in verdict.details


def test_the_token_is_carried_to_no_other_host() -> None:
    with server(elsewhere) as base_url:
        assert sent(base_url).rule.result is Result.UNKNOWN


def test_metas_codes_and_its_wish_to_wait_arrive() -> None:
    with WhatsAppSim(token="EAAtoken") as sim:
        sim.fail_next(130429, retry_after_seconds=7)
        verdict = sent(sim.base_url, answer_seconds=30.0)
        assert (verdict.code, verdict.retry_after_seconds, verdict.rule.result) == (130429, 7.0, Result.RATE)
        assert sent(sim.base_url, answer_seconds=30.0).rule.action is Action.DONE
        assert [(message.to, message.parameters) for message in sim.accepted] == [(TO, TEXT)]


def test_the_stand_in_keeps_metas_pair_limit() -> None:
    now = [time.time()]
    with WhatsAppSim(token="EAAtoken", clock=lambda: now[0]) as sim:
        codes = [sent(sim.base_url, answer_seconds=30.0).code for _ in range(PAIR_BURST + 1)]
        now[0] += PAIR_INTERVAL_SECONDS
        later = [sent(sim.base_url, answer_seconds=30.0).code for _ in range(2)]
    assert codes == [None] * 45 + [131056]
    assert later == [None, 131056], "one more every six seconds"
