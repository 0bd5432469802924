"""The queue on a real Redis: no element is read whole that is longer than asked for, and none is lost for it."""

import os
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
import redis

from sandbox.servers.redis import LocalRedis
from services.queue.bounded_replies import ReplyTooLarge
from services.queue.connection import HEALTH_KEY, connect
from services.queue.task_queue import (
    DEAD_LETTERS_KEY,
    PAGE_BYTES,
    PAGE_ELEMENTS,
    QUEUE_KEY,
    LongElement,
    QueueLook,
    TaskQueue,
    TransferLimits,
    in_flight_key,
    set_aside_key,
)

LIMITS: Final = TransferLimits(whole_bytes=1_000, end_bytes=100)
LONG: Final = b"<head>" + b"-" * 2_000 + b"<tail>"
LETTER_ID: Final = "3fa9b07c11d2"
LETTER: Final = b'{"letter_id": "3fa9b07c11d2"}'


@pytest.fixture
def client(redis_server: LocalRedis) -> Iterator[Any]:
    redis_server.start()
    with redis.Redis.from_url(redis_server.url) as connection:
        connection.flushall()
        yield connection


@pytest.fixture
def queue(client: Any, redis_server: LocalRedis) -> TaskQueue:
    return TaskQueue(connect(redis_server.url, reply_limit_bytes=LIMITS.whole_bytes))


@pytest.fixture
def executor() -> UUID:
    return uuid4()


def push(client: Any, *elements: bytes) -> None:
    """As the platform does it."""
    client.lpush(QUEUE_KEY, *elements)


def hold(client: Any, executor: UUID, *elements: bytes) -> None:
    """As if the executor had taken them, in this order."""
    client.lpush(in_flight_key(executor), *elements)


def the_long_one(queue: TaskQueue, executor: UUID) -> LongElement:
    """The only long element an executor has in flight."""
    [found] = [each for page in queue.in_flight(executor, LIMITS) for each in page if isinstance(each, LongElement)]
    return found


def everything(client: Any) -> dict[bytes, Any]:
    """All that Redis holds."""
    keys = client.keys("*")
    return {key: client.lrange(key, 0, -1) for key in keys}


def scripts_run(client: Any) -> int:
    """How many scripts were called for since the last ``CONFIG RESETSTAT``."""
    return int(client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])


def test_a_look_tells_how_many_wait_and_gives_the_one_that_is_taken_next(client: Any, queue: TaskQueue) -> None:
    looks = [queue.look(most_bytes=1_000)]
    push(client, b"first", b"second")
    looks.append(queue.look(most_bytes=1_000))
    assert looks == [QueueLook(0, None), QueueLook(2, b"first")]
    assert client.lrange(QUEUE_KEY, 0, -1) == [b"second", b"first"], "nothing was taken"


def test_a_look_reads_no_long_element_and_goes_on_with_the_next(client: Any, queue: TaskQueue) -> None:
    push(client, LONG, b"second")
    assert queue.look(most_bytes=len(LONG) - 1) == QueueLook(2, None)
    client.rpop(QUEUE_KEY)
    assert queue.look(most_bytes=len(LONG) - 1) == QueueLook(1, b"second")


def test_a_look_is_one_command_and_shows_whether_writes_are_taken(client: Any, queue: TaskQueue) -> None:
    queue.look(most_bytes=1_000)
    before = scripts_run(client)
    queue.look(most_bytes=1_000)
    assert scripts_run(client) - before == 1
    assert client.pttl(HEALTH_KEY) > 0


class TestReplies:
    """A connection with a limit."""

    @pytest.mark.parametrize("size", [0, 1, 999, 1_000])
    def test_what_is_within_the_limit_is_read(self, client: Any, queue: TaskQueue, executor: UUID, size: int) -> None:
        push(client, b"x" * size)
        assert queue.take(executor) == b"x" * size

    def test_an_element_over_the_limit_is_moved_but_not_read(
        self, client: Any, queue: TaskQueue, executor: UUID
    ) -> None:
        push(client, LONG, b"next")
        with pytest.raises(ReplyTooLarge) as refused:
            queue.take(executor)
        assert (refused.value.size_bytes, refused.value.limit_bytes) == (len(LONG), LIMITS.whole_bytes)
        assert client.lrange(in_flight_key(executor), 0, -1) == [LONG]

    def test_the_connection_goes_on_with_the_next_command(self, client: Any, queue: TaskQueue, executor: UUID) -> None:
        push(client, LONG, b"next")
        with pytest.raises(ReplyTooLarge):
            queue.take(executor)
        assert queue.take(executor) == b"next"

    def test_a_long_element_within_a_list_is_refused_too(self, client: Any, redis_server: LocalRedis) -> None:
        push(client, b"short", LONG)
        limited: Any = connect(redis_server.url, reply_limit_bytes=LIMITS.whole_bytes)
        with pytest.raises(ReplyTooLarge):
            limited.lrange(QUEUE_KEY, 0, -1)
        assert limited.llen(QUEUE_KEY) == 2

    def test_for_whoever_waits_for_redis_it_is_an_error_of_the_connection(self) -> None:
        assert isinstance(ReplyTooLarge(2, 1), redis.ConnectionError)


class TestPages:
    """Lists are read a page at a time, from the right."""

    def test_short_elements_come_whole_and_of_long_ones_both_ends(
        self, client: Any, queue: TaskQueue, executor: UUID
    ) -> None:
        hold(client, executor, b"oldest", LONG, b"", b"\xff\x00")
        [[oldest, long, *newest]] = queue.in_flight(executor, LIMITS)
        assert (oldest, newest) == (b"oldest", [b"", b"\xff\x00"])
        assert isinstance(long, LongElement)
        assert (long.size_bytes, long.head, long.tail) == (len(LONG), LONG[:100], LONG[-100:])

    @pytest.mark.parametrize("count", [0, 1, 2, 3, 31, 32, 33, 63, 64, 999, 1_000, 1_001, 2_345])
    def test_every_element_is_seen_however_many_there_are(
        self, client: Any, queue: TaskQueue, executor: UUID, count: int
    ) -> None:
        elements = [str(number).encode() for number in range(count)]
        if elements:
            push(client, *elements)
            hold(client, executor, *elements)
        assert {each for page in queue.waiting(LIMITS) for each in page} == set(elements)
        assert [each for page in queue.in_flight(executor, LIMITS) for each in page] == elements

    def test_usual_elements_cost_one_command_a_thousand(self, client: Any, queue: TaskQueue) -> None:
        push(client, *[b"x" * 900] * (PAGE_ELEMENTS - 1))
        list(queue.waiting(LIMITS))  # Redis learns the script
        client.config_resetstat()
        list(queue.waiting(LIMITS))
        assert scripts_run(client) == 1

    def test_a_page_is_bounded_by_its_bytes_as_well_as_by_its_elements(self, client: Any, queue: TaskQueue) -> None:
        large = TransferLimits(whole_bytes=PAGE_BYTES // 4, end_bytes=100)
        elements = [bytes([65 + number]) * large.whole_bytes for number in range(13)]
        push(client, *elements)
        pages = list(TaskQueue(client).waiting(large))
        assert max(sum(len(each) for each in page if isinstance(each, bytes)) for page in pages) == PAGE_BYTES
        assert {each for page in pages for each in page} == set(elements)

    def test_long_elements_count_as_much_as_is_read_of_them(self, client: Any, queue: TaskQueue) -> None:
        ends = TransferLimits(whole_bytes=PAGE_BYTES // 8, end_bytes=PAGE_BYTES // 8)
        push(client, *[b"x" * (PAGE_BYTES // 2)] * 9)
        assert [len(page) for page in TaskQueue(client).waiting(ends)] == [4, 4, 3]

    def test_an_element_that_waits_throughout_is_not_missed_though_others_are_taken(
        self, client: Any, queue: TaskQueue
    ) -> None:
        elements = [str(number).encode() for number in range(3 * PAGE_ELEMENTS)]
        push(client, *elements)
        seen, taken = set(), set()
        for page in queue.waiting(LIMITS):
            seen |= set(page)
            taken |= {client.rpop(QUEUE_KEY) for _ in range(PAGE_ELEMENTS // 4)}
            push(client, b"pushed meanwhile")
        assert set(elements) - taken <= seen


class TestHandBack:
    """What an executor had in flight goes back."""

    def test_it_is_taken_next_in_its_old_order_whatever_its_size(
        self, client: Any, queue: TaskQueue, executor: UUID
    ) -> None:
        push(client, b"later")
        held = [b"first", LONG, b"x" * PAGE_BYTES, *(str(number).encode() for number in range(PAGE_ELEMENTS))]
        hold(client, executor, *held)
        assert queue.hand_back(executor) == len(held)
        assert client.lrange(QUEUE_KEY, 0, -1)[::-1] == [*held, b"later"]
        assert not client.exists(in_flight_key(executor))

    def test_it_costs_one_command_for_a_usual_executor(self, client: Any, queue: TaskQueue, executor: UUID) -> None:
        queue.hand_back(executor)  # Redis learns the script
        hold(client, executor, *[b"x" * 2_000] * 200)
        client.config_resetstat()
        assert queue.hand_back(executor) == 200
        assert scripts_run(client) == 1

    def test_there_may_be_nothing_to_hand_back(self, client: Any, queue: TaskQueue, executor: UUID) -> None:
        assert queue.hand_back(executor) == 0


class TestSetAside:
    """A long element leaves the in-flight list for a key of its own."""

    ELEMENTS: Final = (
        pytest.param(LONG, id="text"),
        pytest.param(b"\xff\x00\r\n" * 500, id="bytes that are no text"),
        pytest.param(os.urandom(1_500_000), id="a megabyte and a half"),
    )

    @pytest.mark.parametrize("element", ELEMENTS)
    def test_its_bytes_and_its_letter_are_kept_and_the_tasks_beside_it_stay(
        self, client: Any, queue: TaskQueue, executor: UUID, element: bytes
    ) -> None:
        hold(client, executor, b"older", element, b"newer")
        long = the_long_one(queue, executor)
        assert queue.set_aside(executor, long, letter_id=LETTER_ID, letter=LETTER)
        assert everything(client) == {
            in_flight_key(executor).encode(): [b"newer", b"older"],
            set_aside_key(LETTER_ID).encode(): [element],
            DEAD_LETTERS_KEY.encode(): [LETTER],
        }

    def test_of_two_identical_ones_each_has_its_letter(self, client: Any, queue: TaskQueue, executor: UUID) -> None:
        hold(client, executor, LONG, LONG)
        first, second = next(queue.in_flight(executor, LIMITS))
        assert isinstance(first, LongElement)
        assert isinstance(second, LongElement)
        assert queue.set_aside(executor, first, letter_id="1", letter=b"one")
        assert queue.set_aside(executor, second, letter_id="2", letter=b"two")
        assert everything(client) == {
            set_aside_key("1").encode(): [LONG],
            set_aside_key("2").encode(): [LONG],
            DEAD_LETTERS_KEY.encode(): [b"two", b"one"],
        }

    @pytest.mark.parametrize("other", [LONG.replace(b"<head>", b"[head]"), LONG.replace(b"<tail>", b"[tail]")])
    def test_of_two_of_one_size_it_is_the_one_that_was_meant(
        self, client: Any, queue: TaskQueue, executor: UUID, other: bytes
    ) -> None:
        hold(client, executor, other, LONG, other)
        _, meant, _ = next(queue.in_flight(executor, LIMITS))
        assert isinstance(meant, LongElement)
        assert queue.set_aside(executor, meant, letter_id=LETTER_ID, letter=LETTER)
        assert client.lrange(set_aside_key(LETTER_ID), 0, -1) == [LONG]
        assert client.lrange(in_flight_key(executor), 0, -1) == [other, other]

    def test_of_two_that_differ_in_the_middle_none_is_lost(self, client: Any, queue: TaskQueue, executor: UUID) -> None:
        other = LONG.replace(b"-" * 2_000, b"-" * 1_000 + b"+" + b"-" * 999)
        hold(client, executor, LONG, other)
        for letter_id, long in zip("12", next(queue.in_flight(executor, LIMITS)), strict=True):
            assert isinstance(long, LongElement)
            assert queue.set_aside(executor, long, letter_id=letter_id, letter=letter_id.encode())
        kept = [client.lrange(set_aside_key(letter_id), 0, -1) for letter_id in "12"]
        assert sorted(kept) == sorted([[LONG], [other]])

    def test_nothing_happens_when_somebody_else_was_quicker(
        self, client: Any, queue: TaskQueue, executor: UUID
    ) -> None:
        hold(client, executor, LONG)
        long = the_long_one(queue, executor)
        queue.hand_back(executor)
        before = everything(client)
        assert not queue.set_aside(executor, long, letter_id=LETTER_ID, letter=LETTER)
        assert everything(client) == before

    def test_nothing_happens_when_the_key_is_taken(self, client: Any, queue: TaskQueue, executor: UUID) -> None:
        hold(client, executor, LONG)
        client.rpush(set_aside_key(LETTER_ID), b"another")
        before = everything(client)
        assert not queue.set_aside(executor, the_long_one(queue, executor), letter_id=LETTER_ID, letter=LETTER)
        assert everything(client) == before

    def test_it_is_read_in_pieces(self, client: Any, queue: TaskQueue) -> None:
        client.rpush(set_aside_key(LETTER_ID), LONG)
        key = set_aside_key(LETTER_ID)
        assert queue.read_set_aside(key, size_bytes=500) == LONG[:500]
        assert queue.read_set_aside(key, start=2_000, size_bytes=500) == LONG[2_000:]
        assert queue.read_set_aside(key, start=len(LONG), size_bytes=500) == b""
        assert queue.read_set_aside(set_aside_key("nobody's")) is None

    def test_replayed_it_is_taken_next_and_its_letter_is_gone(self, client: Any, queue: TaskQueue) -> None:
        push(client, b"waiting")
        client.rpush(set_aside_key(LETTER_ID), LONG)
        client.lpush(DEAD_LETTERS_KEY, LETTER, b"another letter")
        assert queue.replay_set_aside(LETTER, set_aside_key(LETTER_ID))
        assert everything(client) == {
            QUEUE_KEY.encode(): [b"waiting", LONG],
            DEAD_LETTERS_KEY.encode(): [b"another letter"],
        }

    def test_what_is_gone_is_not_replayed_and_its_letter_stays(self, client: Any, queue: TaskQueue) -> None:
        client.lpush(DEAD_LETTERS_KEY, LETTER)
        assert not queue.replay_set_aside(LETTER, set_aside_key(LETTER_ID))
        assert everything(client) == {DEAD_LETTERS_KEY.encode(): [LETTER]}

    def test_discarded_nothing_is_left_of_it(self, client: Any, queue: TaskQueue) -> None:
        client.rpush(set_aside_key(LETTER_ID), LONG)
        client.lpush(DEAD_LETTERS_KEY, LETTER)
        queue.discard(LETTER, set_aside_key(LETTER_ID))
        assert everything(client) == {}


@pytest.mark.parametrize("count", [1, 15, 16, 17, 40])
def test_a_letter_is_found_by_its_beginning(client: Any, queue: TaskQueue, count: int) -> None:
    letters = [b'{"letter_id": "%d"}' % number for number in range(count)]
    client.lpush(DEAD_LETTERS_KEY, *letters)
    assert [queue.dead_letter(letter[:-1]) for letter in letters] == letters
    assert queue.dead_letter(b'{"letter_id": "x') is None
    assert list(queue.dead_letters()) == letters
