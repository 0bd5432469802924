"""The rate gate on a real Redis: exact over threads and processes, patient, cheap."""

import itertools
import math
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import pytest
import redis

from sandbox.servers.redis import LocalRedis
from services.queue.connection import connect
from services.shutdown import ShuttingDown, sleep_unless
from services.turns import window as rate_gate
from services.turns.window import LEAD_SECONDS, MAX_SLEEP_SECONDS, MIN_SLEEP_SECONDS, RateGate, Slot, spacing_of

WINDOW_SECONDS = 2
LONG_WINDOW_SECONDS = 60
"""For what is looked at and not waited for: no machine stands still for so long."""
NO_SPACING = 0.0
MICROSECOND = 2e-6
"""To which stamps are rounded."""

CLAIM_TURNS = """
import sys
from services.turns.window import RateGate
from services.queue.connection import connect
url, turns_per_window, window_seconds, count = sys.argv[1], *map(int, sys.argv[2:])
gate = RateGate(connect(url), turns_per_window=turns_per_window, window_seconds=window_seconds, spacing_seconds=0)
for _ in range(count):
    print(gate.acquire(lambda: False).stamp, flush=True)
"""


@pytest.fixture
def client(redis_server: LocalRedis) -> Iterator[redis.Redis]:
    redis_server.start()
    with connect(redis_server.url) as client:
        client.flushall()
        yield client


def never() -> bool:
    return False


def make_gate(
    client: redis.Redis,
    turns: int,
    *,
    spacing: float = NO_SPACING,
    images: int | None = None,
    window: float = WINDOW_SECONDS,
    max_sleep_seconds: float = MAX_SLEEP_SECONDS,
) -> RateGate:
    return RateGate(
        client,
        turns_per_window=turns,
        images_per_window=images,
        window_seconds=window,
        spacing_seconds=spacing,
        max_sleep_seconds=max_sleep_seconds,
    )


def server_time(client: redis.Redis) -> float:
    """What Redis's clock shows."""
    seconds, microseconds = cast("tuple[int, int]", client.time())
    return seconds + microseconds / 1e6


def most_within(times: list[float], seconds: float) -> int:
    """The greatest number of ``times`` within any ``seconds``."""
    ordered = sorted(times)
    return max(sum(start <= t < start + seconds for t in ordered[i:]) for i, start in enumerate(ordered))


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the commands sent to Redis; what happens inside scripts is not among them."""
    sent: list[str] = []
    execute: Callable[..., object] = redis.Redis.execute_command

    def execute_and_note(client: redis.Redis, *arguments: str, **options: object) -> object:
        sent.append(arguments[0])
        return execute(client, *arguments, **options)

    monkeypatch.setattr(redis.Redis, "execute_command", execute_and_note)
    return sent


@pytest.fixture
def all_sleeps(monkeypatch: pytest.MonkeyPatch) -> defaultdict[int, list[float]]:
    """For how many seconds gates let each thread sleep, each time; a busy machine adds nothing to them."""
    asked: defaultdict[int, list[float]] = defaultdict(list)

    def note_and_sleep(cancelled: Callable[[], bool], seconds: float) -> None:
        asked[threading.get_ident()].append(seconds)
        sleep_unless(cancelled, seconds)

    monkeypatch.setattr(rate_gate, "sleep_unless", note_and_sleep)
    return asked


@pytest.fixture
def sleeps(all_sleeps: defaultdict[int, list[float]]) -> list[float]:
    """Those of this thread."""
    return all_sleeps[threading.get_ident()]


@dataclass(frozen=True)
class Look:
    """What Redis says: its time, the first moment that is free, and whether that is the caller's now."""

    now: float
    moment: float
    taken: bool


def look(gate: RateGate, *, turns: int, window: float = WINDOW_SECONDS, ahead: float = LEAD_SECONDS) -> Look:
    """One look at the window of requests, for one request."""
    now, moment, taken = gate._take([gate._requests.key], [window, ahead, NO_SPACING, turns, 1])
    return Look(float(now), float(moment), bool(taken))


def test_no_window_of_any_position_holds_more_turns_than_allowed(client: redis.Redis, sleeps: list[float]) -> None:
    gate = make_gate(client, 5)
    stamps = [float(gate.acquire(never).stamp) for _ in range(11)]
    assert most_within(stamps, WINDOW_SECONDS - MICROSECOND) == 5
    assert sum(sleeps) < 2 * WINDOW_SECONDS, "it waits no longer than it must"


def test_the_first_moment_that_is_free_is_a_window_after_the_turn_that_is_in_the_way(client: redis.Redis) -> None:
    gate = make_gate(client, 2, window=LONG_WINDOW_SECONDS)
    first, _ = [float(gate.acquire(never).stamp) for _ in range(2)]
    found = look(gate, turns=2, window=LONG_WINDOW_SECONDS)
    assert found.moment == pytest.approx(first + LONG_WINDOW_SECONDS, abs=MICROSECOND)


@pytest.mark.parametrize("order", list(itertools.permutations([3, 2, 1])), ids=str)
def test_the_next_moment_is_the_same_in_whatever_order_the_stamps_lie(
    client: redis.Redis, order: tuple[int, ...]
) -> None:
    """They were set so many seconds ago."""
    now = server_time(client)
    stamps = {ago: f"{now - ago:.6f}" for ago in order}
    client.lpush("wearon:provider:rate:window", *stamps.values())
    taken = look(make_gate(client, 2), turns=2, window=60, ahead=60)
    assert taken.moment == pytest.approx(float(stamps[2]) + 60, abs=MICROSECOND)
    left = cast("list[bytes]", client.lrange("wearon:provider:rate:window", 0, -1))
    assert left == [f"{taken.moment:.6f}".encode(), stamps[1].encode()], "newest first, and no more than are counted"


def test_threads_of_one_process_are_served_in_the_order_they_came(client: redis.Redis) -> None:
    gate = make_gate(client, 2)
    gate.acquire(never)
    gate.acquire(never)
    with ThreadPoolExecutor(4) as pool:
        turns = []
        with gate._queue.held(never):
            for number in range(4):
                turns.append(pool.submit(gate.acquire, never))
                wait_until(partial(is_queueing, gate, number + 1))
        stamps = [float(turn.result().stamp) for turn in turns]
    assert stamps == sorted(stamps)


def is_queueing(gate: RateGate, behind: int) -> bool:
    """Whether one thread has the gate and so many wait behind it."""
    return not gate._queue._free and len(gate._queue._waiting) == behind


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_two_processes_share_one_window(client: redis.Redis, redis_server: LocalRedis) -> None:
    arguments = [sys.executable, "-c", CLAIM_TURNS, redis_server.url, "6", str(WINDOW_SECONDS), "6"]
    processes = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    times = [float(line) for line in itertools.chain.from_iterable(output.split() for output in outputs)]
    assert len(times) == 12
    assert most_within(times, WINDOW_SECONDS - MICROSECOND) == 6


def test_a_host_whose_clock_is_wrong_keeps_the_window(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make_gate(client, 3)
    started = time.monotonic()
    for _ in range(3):
        first.acquire(never)
    monkeypatch.setattr(time, "time", lambda: 4_000_000_000.0)
    assert_a_window_later(make_gate(client, 3).acquire(never), started)


def assert_a_window_later(slot: Slot, started: float) -> None:
    """Its moment on this machine's steady clock; ``started`` lies before the turn that is in the way."""
    assert WINDOW_SECONDS - MICROSECOND <= slot.opens_at - started < LONG_WINDOW_SECONDS


def test_a_host_whose_clock_stood_still_keeps_the_window(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a suspension, in which ``time.monotonic`` does not go on."""
    suspended = make_gate(client, 4)
    suspended.acquire(never)
    running, missed_seconds = time.monotonic, 30.0
    started = running()
    with monkeypatch.context() as patched:
        patched.setattr(time, "monotonic", lambda: running() - missed_seconds)
        for _ in range(3):
            suspended.acquire(never)
    assert_a_window_later(make_gate(client, 3).acquire(never), started)


def test_a_redis_whose_clock_is_put_back_an_hour_holds_up_calls_for_one_window(client: redis.Redis) -> None:
    """By then the stamps lie an hour ahead; how long ago their requests were nobody can tell."""
    gate = make_gate(client, 3)
    stamps = [float(gate.acquire(never).stamp) for _ in range(3)]
    client.delete("wearon:provider:rate:window")
    client.rpush("wearon:provider:rate:window", *(f"{stamp + 3600:.6f}" for stamp in reversed(stamps)))
    first = look(gate, turns=3)
    assert first.moment - first.now == pytest.approx(WINDOW_SECONDS + LEAD_SECONDS, abs=MICROSECOND)
    again = look(gate, turns=3)
    assert again.moment == max(first.moment, again.now), "asking again puts nothing off"
    assert float(make_gate(client, 3).acquire(never).stamp) >= first.moment


def test_processes_with_different_limits_share_one_window(client: redis.Redis) -> None:
    old, new = make_gate(client, 6), make_gate(client, 3)
    _, in_the_way, *_ = [old.acquire(never) for _ in range(4)]
    assert_a_window_apart(in_the_way, new.acquire(never))


def assert_a_window_apart(earlier: Slot, later: Slot) -> None:
    """On Redis's clock."""
    assert float(later.stamp) - float(earlier.stamp) >= WINDOW_SECONDS - MICROSECOND


def test_turns_of_one_window_are_spread_over_it(client: redis.Redis) -> None:
    gate = make_gate(client, 100, spacing=0.1)
    stamps = [float(gate.acquire(never).stamp) for _ in range(7)]
    assert all(later - earlier >= 0.1 - MICROSECOND for earlier, later in itertools.pairwise(stamps))


@pytest.mark.parametrize(("turns", "seconds"), [(1, 1.0), (30, 1.0), (60, 0.5), (300, 0.1)])
def test_moments_are_half_the_average_apart_and_at_most_a_second(turns: int, seconds: float) -> None:
    assert spacing_of(turns) == pytest.approx(seconds, rel=0.01)


def test_the_window_leaves_a_tenth_of_a_second_for_the_way_to_the_provider() -> None:
    assert rate_gate.WINDOW_SECONDS == 60.1


def test_a_moment_is_given_before_it_comes_so_that_the_connection_can_be_made(
    client: redis.Redis, sleeps: list[float]
) -> None:
    gate = make_gate(client, 1)
    first = gate.acquire(never)
    second = gate.acquire(never)
    assert second.earliest_at - time.monotonic() <= LEAD_SECONDS + MICROSECOND, "and not much before"
    assert sum(sleeps) <= WINDOW_SECONDS - LEAD_SECONDS + MIN_SLEEP_SECONDS
    assert_a_window_apart(first, second)


def send_late(gate: RateGate, seconds: float) -> Slot:
    """Use a slot so long after its moment."""
    slot = gate.acquire(never)
    time.sleep(max(0.0, slot.opens_at + seconds - time.monotonic()))
    gate.sent(slot)
    return slot


def test_a_request_that_left_late_counts_from_when_it_left(client: redis.Redis) -> None:
    """For the process that sent it and for one that has its first turn."""
    gate, other = (make_gate(client, 2, images=4) for _ in range(2))
    late = send_late(gate, 0.5)
    send_late(gate, 0.0)
    stamps = [float(one.acquire(never).stamp) for one in (other, gate)]
    assert stamps[0] - float(late.stamp) >= 0.5 + WINDOW_SECONDS
    assert stamps[1] - float(late.stamp) >= 0.5 + WINDOW_SECONDS


def test_the_pictures_of_a_request_that_left_late_count_from_when_it_left(client: redis.Redis) -> None:
    late = send_late(make_gate(client, NO_LIMIT, images=4, window=LONG_WINDOW_SECONDS), 0.5)
    [stamp] = cast("list[bytes]", client.lrange("wearon:provider:rate:input-images", 0, -1))
    assert float(stamp) - float(late.stamp) >= 0.5


def test_a_request_whose_moment_is_known_only_roughly_counts_from_when_it_left(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one answer of Redis that there is so far lay unread while other threads ran."""
    gate = make_gate(client, 3, window=LONG_WINDOW_SECONDS)
    take = gate._take

    def take_and_read_late(*arguments: list[object]) -> object:
        answer = take(*arguments)
        time.sleep(0.3)
        return answer

    monkeypatch.setattr(gate, "_take", take_and_read_late)
    slot = gate.acquire(never)
    time.sleep(max(0.0, slot.opens_at - time.monotonic()))
    now = server_time(client)
    gate.sent(slot)
    [stamp] = cast("list[bytes]", client.lrange("wearon:provider:rate:window", 0, -1))
    assert float(stamp) >= now


def test_a_request_that_left_in_time_keeps_its_moment_and_costs_no_command(
    client: redis.Redis, commands: list[str]
) -> None:
    gate = make_gate(client, 1, window=LONG_WINDOW_SECONDS)
    slot = gate.acquire(never)
    commands.clear()
    gate.sent(replace(slot, earliest_at=math.inf))  # as if it were still to come, so no machine is too slow
    assert commands == []
    assert slot.stamp.encode() in cast("list[bytes]", client.lrange("wearon:provider:rate:window", 0, -1))


def test_a_late_request_during_an_outage_is_counted_when_redis_is_back(
    client: redis.Redis, redis_server: LocalRedis
) -> None:
    gate = make_gate(client, 1)
    slot = gate.acquire(never)
    redis_server.kill()
    time.sleep(rate_gate.PUNCTUAL_SECONDS)
    gate.sent(slot)
    redis_server.start()
    after = gate.acquire(never)
    assert after.opens_at - slot.opens_at > WINDOW_SECONDS + rate_gate.PUNCTUAL_SECONDS


def test_a_worker_of_the_release_before_shares_the_window(client: redis.Redis) -> None:
    """It keeps stamps as the same list, newest first, and puts the present in front of moments to come."""
    gate = make_gate(client, 4, spacing=0.1)
    taken = [float(gate.acquire(never).stamp) for _ in range(3)]
    present = taken[-1] - 0.05  # the last moment is still to come
    client.lpush("wearon:provider:rate:window", f"{present:.4f}")
    taken += [present, *(float(gate.acquire(never).stamp) for _ in range(4))]
    assert most_within(taken, WINDOW_SECONDS - 1e-3) == 4


def test_a_free_turn_costs_one_command(client: redis.Redis, commands: list[str]) -> None:
    gate = make_gate(client, 1_000)
    gate.acquire(never)  # loads the script
    commands.clear()
    for _ in range(50):
        gate.acquire(never)
    assert commands == ["EVALSHA"] * 50


def test_waiting_costs_few_commands_however_many_wait(client: redis.Redis, commands: list[str]) -> None:
    gate = make_gate(client, 10)
    in_the_way = [gate.acquire(never) for _ in range(10)]
    commands.clear()
    with ThreadPoolExecutor(20) as pool:
        waited = list(pool.map(lambda _: gate.acquire(never), range(10)))
    assert len(commands) <= 3 * 10
    for earlier, later in zip(in_the_way, sorted(waited, key=lambda slot: float(slot.stamp)), strict=True):
        assert_a_window_apart(earlier, later)


def test_a_redis_that_is_away_delays_a_turn_and_fails_nobody(client: redis.Redis, redis_server: LocalRedis) -> None:
    gate = make_gate(client, 5)
    gate.acquire(never)
    redis_server.kill()
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(gate.acquire, never) for _ in range(3)]
        wait_until(partial(is_queueing, gate, 2))
        assert not any(turn.done() for turn in waiting)
        redis_server.start()
        assert all(turn.result(timeout=20).waited_seconds >= 0 for turn in waiting)


def test_a_gate_can_be_made_before_redis_is_up(redis_server: LocalRedis) -> None:
    redis_server.stop()
    gate = make_gate(connect(redis_server.url), 5)
    with ThreadPoolExecutor(1) as pool:
        turn = pool.submit(gate.acquire, never)
        redis_server.start()
        assert turn.result(timeout=20).waited_seconds >= 0


def test_one_process_keeps_the_limit_even_if_redis_forgets_everything(client: redis.Redis) -> None:
    gate = make_gate(client, 3)
    started = time.monotonic()
    for _ in range(3):
        gate.acquire(never)
    client.flushall()
    client.script_flush()
    assert_a_window_later(gate.acquire(never), started)


def test_a_shutdown_ends_the_waiting_and_frees_the_place(client: redis.Redis) -> None:
    make_gate(client, 1, window=LONG_WINDOW_SECONDS).acquire(never)
    gate = make_gate(client, 1, window=LONG_WINDOW_SECONDS, max_sleep_seconds=0.2)
    closing = threading.Event()
    with ThreadPoolExecutor(3) as pool:
        doomed = [pool.submit(gate.acquire, closing.is_set) for _ in range(2)]
        wait_until(partial(is_queueing, gate, 1))
        patient = pool.submit(gate.acquire, never)
        closing.set()
        for turn in doomed:
            with pytest.raises(ShuttingDown):
                turn.result(timeout=5)
        client.delete("wearon:provider:rate:window")
        assert patient.result(timeout=10).waited_seconds >= 0


def test_a_shutdown_ends_the_waiting_for_a_redis_that_is_away(tmp_path: Path) -> None:
    gate = make_gate(connect(LocalRedis(tmp_path).url), 1)
    with pytest.raises(ShuttingDown):
        gate.acquire(lambda: True)


NO_LIMIT = 10_000


def test_two_gates_share_one_limit_on_input_pictures(
    client: redis.Redis, all_sleeps: defaultdict[int, list[float]]
) -> None:
    """Requests of different sizes; in no window do both together send more pictures than allowed."""
    gates = [make_gate(client, NO_LIMIT, images=10) for _ in range(2)]
    sent: list[float] = []

    def send(gate: RateGate) -> None:
        for images in (2, 5, 1, 3, 4, 2):
            slot = gate.acquire(never, input_images=images)
            sent.extend([float(slot.stamp)] * images)

    with ThreadPoolExecutor(2) as pool:
        for sender in [pool.submit(send, gate) for gate in gates]:
            sender.result(timeout=60)
    assert len(sent) == 34
    assert most_within(sent, WINDOW_SECONDS - MICROSECOND) <= 10
    assert max(map(sum, all_sleeps.values())) < 5 * WINDOW_SECONDS, "it waits no longer than it must"


def test_a_request_waits_until_there_is_room_for_all_its_pictures(client: redis.Redis, sleeps: list[float]) -> None:
    gate = make_gate(client, NO_LIMIT, images=10)
    in_the_way, _ = [gate.acquire(never, input_images=images) for images in (8, 2)]
    assert sleeps == [], "there was room"
    assert_a_window_apart(in_the_way, make_gate(client, NO_LIMIT, images=10).acquire(never, input_images=1))


def test_waiting_for_pictures_takes_no_turns_away_from_others(
    client: redis.Redis, commands: list[str], sleeps: list[float]
) -> None:
    first, waits, others = (make_gate(client, 4, images=images) for images in (10, 10, None))
    first.acquire(never, input_images=10)
    commands.clear()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(waits.acquire, never, input_images=10)
        wait_until(lambda: "EVALSHA" in commands)  # it has looked, and knows how long to wait
        for _ in range(3):
            others.acquire(never)
        assert sleeps == [], "three of four requests were left"
        waiting.result(timeout=20)


def test_one_process_keeps_the_limit_on_pictures_even_if_redis_forgets_everything(client: redis.Redis) -> None:
    gate = make_gate(client, NO_LIMIT, images=10)
    started = time.monotonic()
    gate.acquire(never, input_images=6)
    client.flushall()
    client.script_flush()
    assert_a_window_later(gate.acquire(never, input_images=5), started)


def test_more_pictures_than_a_minute_allows_are_refused_at_once(client: redis.Redis) -> None:
    with pytest.raises(ValueError, match="11 pictures in one request, but 10 a minute"):
        make_gate(client, NO_LIMIT, images=10).acquire(never, input_images=11)


def test_a_free_turn_with_a_limit_on_pictures_costs_one_command(client: redis.Redis, commands: list[str]) -> None:
    gate = make_gate(client, NO_LIMIT, images=NO_LIMIT)
    gate.acquire(never, input_images=2)  # loads the script
    commands.clear()
    for _ in range(20):
        gate.acquire(never, input_images=2)
    assert commands == ["EVALSHA"] * 20
