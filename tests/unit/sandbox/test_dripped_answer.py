"""The simulator's slow drip: many small pieces, each after a short wait, so that no read timeout ends it."""

import asyncio

import pytest
from starlette.types import Message

from sandbox.openai_sim.answer import DRIP_PIECES, ClientGone, DrippedAnswer

BODY = bytes(range(DRIP_PIECES)) * 10
AN_HOUR = 3600.0


class Connection:
    """Keeps what is sent, and in between how often somebody looked whether the client is still there."""

    def __init__(self, *, leaves: bool = False) -> None:
        self.messages: list[Message] = []
        self._leaves = leaves

    async def receive(self) -> Message:
        self.messages.append({"type": "looked"})
        if not self._leaves:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.messages.append(message)


async def drip(connection: Connection, *, seconds: float) -> None:
    answer = DrippedAnswer(BODY, {}, seconds=seconds, closing=asyncio.Event())
    await answer({"type": "http"}, connection.receive, connection.send)


def test_a_drip_waits_a_little_before_each_of_many_equal_pieces() -> None:
    connection = Connection()
    asyncio.run(drip(connection, seconds=0))
    head, *dripped, end = connection.messages
    assert head["type"] == "http.response.start"
    assert [message["type"] for message in dripped] == ["looked", "http.response.body"] * DRIP_PIECES
    pieces = [message["body"] for message in dripped[1::2]]
    assert b"".join(pieces) == BODY
    assert len({len(piece) for piece in pieces}) == 1
    assert (end["body"], end["more_body"]) == (b"", False)


def test_a_drip_ends_as_soon_as_the_client_has_left() -> None:
    connection = Connection(leaves=True)
    with pytest.raises(ClientGone):
        asyncio.run(drip(connection, seconds=AN_HOUR))
    assert [message["type"] for message in connection.messages] == ["http.response.start", "looked"]
