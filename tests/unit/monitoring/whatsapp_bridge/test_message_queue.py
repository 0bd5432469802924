"""The queue on disk: all or nothing, in order, bounded, and never twice for the same news."""

import json
import sqlite3
from pathlib import Path
from typing import Final

import pytest

from monitoring.whatsapp_bridge.message_queue import (
    DUPLICATE_WINDOW_SECONDS,
    MESSAGES_MAX,
    NOBODY_YET,
    USEFUL_SECONDS,
    MessageQueue,
    QueueUnusable,
    Taken,
)
from monitoring.whatsapp_bridge.signature import TIMESTAMP_LEEWAY_SECONDS

NOW: Final = 1_796_000_000.0
TWO: Final = ("+4915112345678", "+31612345678")
TEXT: Final = ("head", "host", "detail", "advice")


@pytest.fixture
def queue(tmp_path: Path) -> MessageQueue:
    return MessageQueue(tmp_path / "queue.sqlite3")


def add(queue: MessageQueue, name: str, *, to: tuple[str, ...] = TWO, at: float = NOW, signature: str = "") -> Taken:
    return queue.add(
        [(name, *TEXT[1:])], to, news=name, signature=signature or f"signature of {name} at {at}", now_seconds=at
    )


def waiting(queue: MessageQueue) -> list[tuple[str, str]]:
    """(recipient, headline) of every head, the heads behind it included, in the order of sending."""
    found = []
    while heads := queue.heads():
        found += [(head.recipient, head.parameters[0]) for head in heads]
        for head in heads:
            queue.remove(head)
    return found


def test_each_recipient_gets_each_message_in_the_order_in_which_they_came(queue: MessageQueue) -> None:
    assert [add(queue, name) for name in ("first", "second")] == [Taken.TAKEN, Taken.TAKEN]
    assert waiting(queue) == [(to, name) for name in ("first", "second") for to in TWO]


def test_the_same_news_is_taken_once_within_the_window_and_again_after_it(queue: MessageQueue) -> None:
    assert add(queue, "news") is Taken.TAKEN
    assert add(queue, "news", at=NOW + DUPLICATE_WINDOW_SECONDS) is Taken.DUPLICATE
    assert add(queue, "news", at=NOW + DUPLICATE_WINDOW_SECONDS + 1) is Taken.TAKEN


def test_the_same_news_is_known_also_when_its_message_has_left(queue: MessageQueue) -> None:
    add(queue, "news")
    waiting(queue)
    assert add(queue, "news", at=NOW + 1) is Taken.DUPLICATE


def test_a_signature_is_good_for_one_request(queue: MessageQueue) -> None:
    assert add(queue, "one", signature="s") is Taken.TAKEN
    still_good = NOW + 2 * TIMESTAMP_LEEWAY_SECONDS  # stamped as far ahead as is allowed, and as late as is allowed
    assert add(queue, "two", signature="s", at=still_good) is Taken.REPLAYED
    assert queue.depth().messages == 2


def test_a_full_queue_takes_nothing_and_forgets_what_it_did_not_take(queue: MessageQueue) -> None:
    storm = [TEXT] * (MESSAGES_MAX // len(TWO))
    assert queue.add(storm, TWO, news="storm", signature="storm", now_seconds=NOW) is Taken.TAKEN
    assert add(queue, "one too many") is Taken.FULL
    assert queue.depth().messages == MESSAGES_MAX
    queue.remove(queue.heads()[0])
    queue.remove(queue.heads()[0])
    assert add(queue, "one too many") is Taken.TAKEN, "Grafana's next try"


def test_what_was_taken_is_there_after_the_file_is_opened_again(queue: MessageQueue, tmp_path: Path) -> None:
    add(queue, "news")
    again = MessageQueue(tmp_path / "queue.sqlite3")
    assert [head.parameters for head in again.heads()] == [("news", *TEXT[1:])] * 2
    assert add(again, "news", at=NOW + 1) is Taken.DUPLICATE


def test_it_writes_through_to_the_disk(queue: MessageQueue) -> None:
    assert queue.durability() == ("wal", 2)


def test_an_accepted_message_leaves_and_is_remembered_for_the_pace(queue: MessageQueue) -> None:
    add(queue, "one")
    add(queue, "two")
    queue.accepted(queue.heads()[0], NOW + 2)
    heads = {head.recipient: head for head in queue.heads()}
    assert [heads[to].parameters[0] for to in TWO] == ["two", "one"]
    assert heads[TWO[0]].lent_until_seconds == NOW + 8
    assert queue.depth().last_accepted_at_seconds == NOW + 2


def test_what_is_too_old_is_removed_and_counted(queue: MessageQueue) -> None:
    add(queue, "old")
    add(queue, "new", at=NOW + 10)
    assert queue.expire(NOW + USEFUL_SECONDS + 1) == 2
    assert [name for _, name in waiting(queue)] == ["new", "new"]


def test_messages_of_a_time_without_recipients_go_to_those_who_are_named_later(queue: MessageQueue) -> None:
    add(queue, "one", to=(NOBODY_YET,))
    add(queue, "two", to=(NOBODY_YET,))
    queue.address(())
    assert queue.depth().messages == 2
    queue.address(TWO)
    assert sorted(waiting(queue)) == sorted((to, name) for to in TWO for name in ("one", "two"))


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite3"
    path.write_text(json.dumps({"no": "database"}) * 100)
    with pytest.raises(QueueUnusable, match=str(path)):
        MessageQueue(path)


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(QueueUnusable, match="nowhere"):
        MessageQueue(tmp_path / "nowhere" / "queue.sqlite3")


def test_when_a_write_fails_nothing_is_half_done_and_the_next_one_works(queue: MessageQueue, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "queue.sqlite3", isolation_level=None)
    other.execute("CREATE TRIGGER full BEFORE INSERT ON signatures BEGIN SELECT raise(ABORT, 'disk is full'); END")
    with pytest.raises(QueueUnusable, match="disk is full"):
        add(queue, "news")
    assert queue.depth().messages == 0
    other.execute("DROP TRIGGER full")
    assert add(queue, "news") is Taken.TAKEN
