"""How the Celery process tells the main process what happens, and what happens when one of them is gone."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import pytest
from structlog.testing import capture_logs

from models.generation import Channel
from models.health import Component
from models.stages import Stage
from worker.link import (
    ORPHANED_EXIT_CODE,
    READ_BYTES,
    ChildEnd,
    DeclaredDead,
    Event,
    ExecutorReady,
    IntakeHeld,
    ParentEnd,
    PartSeen,
    RunBroke,
    RunFinished,
    RunPostponed,
    RunReturned,
    RunStarted,
    decode,
    encode,
)
from worker.samples import (
    ChargeUndone,
    ErrorUnforeseen,
    GenerationEnded,
    GenerationTimed,
    LetterBuried,
    ModelRetired,
    ModelsUsable,
    PictureBilled,
    ProviderAsked,
    SettlementRefused,
    StagesTimed,
    TasksRecovered,
)

WAIT_SECONDS = 30.0

EVENTS: list[Event] = [
    ExecutorReady(),
    DeclaredDead(),
    RunStarted("a"),
    RunFinished("a"),
    RunPostponed("a", 10.5),
    RunReturned("a"),
    RunBroke("a", "KeyError"),
    IntakeHeld("P0001"),
    PartSeen(Component.STORAGE, up=False, reason="line\nbreak \u2028 ü"),
    GenerationEnded(Channel.B2B, "failed", "moderated"),
    GenerationTimed(Channel.B2C, 31.25),
    StagesTimed({Stage.QUEUE: 0.25, Stage.STORE: 1.5}),
    PictureBilled(Channel.B2C, "gpt-image-2.6-flare", {"text_in": 50, "image_out": 1500}, 0.0455),
    ChargeUndone("user_credit"),
    ProviderAsked("gpt-image-2.6-sunburst", "ok"),
    ModelRetired("gpt-image-1.5"),
    ModelsUsable(["gpt-image-2.6-flare"]),
    LetterBuried("not_json"),
    TasksRecovered("handed_back", 3),
    SettlementRefused(),
    ErrorUnforeseen("run"),
]

CHILD = """
import sys
from worker.link import ChildEnd, ExecutorReady
end = ChildEnd(int(sys.argv[1]))
end.die_with_parent()
end.send(ExecutorReady())
{then}
"""
WORKS_ON_FOR_EVER = "import threading; threading.Event().wait()"
KEEPS_SENDING = "while True: end.send(ExecutorReady())"


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    with here, there:
        yield here, there


def heard_until_the_end(here: socket.socket) -> tuple[list[Event], threading.Thread]:
    heard: list[Event] = []
    listener = threading.Thread(target=ParentEnd(here).listen, args=(heard.append, lambda: None))
    listener.start()
    return heard, listener


@pytest.mark.parametrize("event", EVENTS, ids=repr)
def test_an_event_arrives_as_it_was_sent_on_one_line(event: Event) -> None:
    line = encode(event)
    assert decode(line) == event
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")


def test_every_kind_of_event_is_known_at_both_ends() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))


def test_events_arrive_in_order_until_the_child_is_gone(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    heard, listener = heard_until_the_end(here)
    child = ChildEnd(there.detach())
    for event in EVENTS:
        child.send(event)
    del child  # closes its socket
    listener.join(WAIT_SECONDS)
    assert heard == EVENTS


def test_events_cut_anywhere_by_the_socket_are_put_together(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    heard, listener = heard_until_the_end(here)
    long = LetterBuried("x" * (3 * READ_BYTES))
    sent = encode(long) + encode(RunStarted("a")) + encode(long)
    for start in range(0, len(sent), 7_001):
        there.sendall(sent[start : start + 7_001])
    there.close()
    listener.join(WAIT_SECONDS)
    assert heard == [long, RunStarted("a"), long]


def test_half_an_event_of_a_killed_child_is_no_event(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    heard, listener = heard_until_the_end(here)
    there.sendall(encode(RunStarted("a")) + encode(RunFinished("a"))[:10])
    there.close()
    listener.join(WAIT_SECONDS)
    assert heard == [RunStarted("a")]


NO_EVENTS = [
    pytest.param(b"no JSON\n", id="no JSON"),
    pytest.param(b"\xff\xfe\n", id="no text"),
    pytest.param(b"7\n", id="no pair"),
    pytest.param(b'["GenrationEnded", {}]\n', id="unknown kind"),
    pytest.param(b'["RunStarted", {"dispatch": "a"}]\n', id="unknown field"),
    pytest.param(b'["PartSeen", {"component": "storrage", "up": true}]\n', id="unknown part"),
]


@pytest.mark.parametrize("line", NO_EVENTS)
def test_a_line_that_is_no_event_is_told_of_and_the_next_ones_are_heard(
    pair: tuple[socket.socket, socket.socket], line: bytes
) -> None:
    here, there = pair
    heard: list[Event] = []
    dropped: list[str] = []
    there.sendall(encode(RunStarted("a")) + line + encode(RunFinished("a")))
    there.close()
    with capture_logs() as lines:
        ParentEnd(here).listen(heard.append, lambda: dropped.append("one"))
    assert heard == [RunStarted("a"), RunFinished("a")]
    assert dropped == ["one"]
    assert [(said["event"], said["log_level"]) for said in lines] == [("link_event_dropped", "error")]


def test_an_event_whose_receiver_fails_does_not_end_the_listening(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    heard: list[Event] = []
    dropped: list[str] = []

    def receive(event: Event) -> None:
        if event == LetterBuried("not_json"):
            raise ValueError("a misnamed measurement")
        heard.append(event)

    there.sendall(encode(LetterBuried("not_json")) + encode(RunFinished("a")))
    there.close()
    ParentEnd(here).listen(receive, lambda: dropped.append("one"))
    assert (heard, dropped) == ([RunFinished("a")], ["one"])


def test_events_of_many_threads_do_not_mix(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    heard, listener = heard_until_the_end(here)
    child = ChildEnd(os.dup(there.fileno()))
    event = RunStarted("x" * 1_000_000)  # more than the socket takes at once
    with ThreadPoolExecutor(8) as senders:
        for _ in range(16):
            senders.submit(child.send, event)
    there.shutdown(socket.SHUT_RDWR)
    listener.join(WAIT_SECONDS)
    assert heard == [event] * 16


@pytest.mark.parametrize("then", [WORKS_ON_FOR_EVER, KEEPS_SENDING], ids=["silent", "sending"])
def test_a_child_ends_itself_when_its_parent_is_gone(then: str) -> None:
    here, there = socket.socketpair()
    with there:
        command = [sys.executable, "-c", CHILD.format(then=then), str(there.fileno())]
        child = subprocess.Popen(command, pass_fds=(there.fileno(),))
    try:
        with here:
            assert here.recv(READ_BYTES).startswith(encode(ExecutorReady())), "the child is up"
        assert child.wait(WAIT_SECONDS) == ORPHANED_EXIT_CODE
    finally:
        child.kill()
        child.wait()
