"""The shared pause after an account-level failure, on a real Redis."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import redis

from sandbox.servers.redis import LocalRedis
from services.queue.connection import connect
from services.shutdown import ShuttingDown
from services.turns.breaker import PROBE_LEASE_SECONDS, PROBE_SECONDS, RENEWALS_PER_LEASE, Probe, ProviderBreaker
from services.turns.gate import TurnGate, TurnOutcome
from services.turns.window import RateGate

PAUSE_SECONDS = 0.5


@pytest.fixture
def client(redis_server: LocalRedis) -> redis.Redis:
    """Never closed: a probe without a verdict goes on renewing its lease over it."""
    redis_server.start()
    client = connect(redis_server.url)
    client.flushall()
    return client


def never() -> bool:
    return False


def make_breaker(
    client: redis.Redis,
    *,
    pause_seconds: float = PAUSE_SECONDS,
    closed_cache_seconds: float = 0.05,
    probe_seconds: float = PROBE_SECONDS,
    probe_lease_seconds: float = PROBE_LEASE_SECONDS,
    renewals_per_lease: int = RENEWALS_PER_LEASE,
) -> ProviderBreaker:
    return ProviderBreaker(
        client,
        pause_seconds=pause_seconds,
        poll_seconds=0.05,
        closed_cache_seconds=closed_cache_seconds,
        probe_seconds=probe_seconds,
        probe_lease_seconds=probe_lease_seconds,
        renewals_per_lease=renewals_per_lease,
    )


def make_turns(client: redis.Redis) -> TurnGate:
    return TurnGate(RateGate(client, turns_per_window=1_000, spacing_seconds=0), make_breaker(client))


@contextmanager
def callers(count: int) -> Iterator[tuple[ThreadPoolExecutor, Callable[[], bool]]]:
    """Threads, and the shutdown that ends their waiting when the test is over, passed or failed."""
    closing = threading.Event()
    with ThreadPoolExecutor(count) as pool:
        try:
            yield pool, closing.is_set
        finally:
            closing.set()


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_closed_breaker_lets_everybody_through(client: redis.Redis) -> None:
    breaker = make_breaker(client)
    assert breaker.is_closed()
    assert not breaker.wait_until_closed(never)


def test_opening_pauses_every_process_and_then_lets_exactly_one_probe(client: redis.Redis) -> None:
    hosts = [make_breaker(client) for _ in range(3)]
    started = time.monotonic()
    hosts[0].open("quota_exhausted")
    assert not any(host.is_closed() for host in hosts)
    with callers(9) as (pool, closing):
        calls = [pool.submit(host.wait_until_closed, closing) for host in hosts for _ in range(3)]
        wait_until(lambda: any(call.done() for call in calls))
        assert time.monotonic() - started >= PAUSE_SECONDS
        wait_until(lambda: client.exists("wearon:provider:probe") == 1)
        probes = [call for call in calls if call.done()]
        [probe] = [probe.result() for probe in probes]
        assert probe is not None
        hosts[1].succeeded(probe)
        assert [call.result(timeout=5) for call in calls].count(None) == 8
    assert all(host.is_closed() for host in hosts)


def test_a_probe_that_is_refused_pauses_again(client: redis.Redis) -> None:
    breaker = make_breaker(client)
    breaker.open("quota_exhausted")
    assert breaker.wait_until_closed(never)
    started = time.monotonic()
    breaker.open("quota_exhausted")
    assert breaker.wait_until_closed(never), "the next caller is a probe again"
    assert time.monotonic() - started >= PAUSE_SECONDS


def test_a_probe_without_a_verdict_is_followed_by_another(client: redis.Redis) -> None:
    breaker = make_breaker(client)
    breaker.open("credentials_rejected")
    probe = breaker.wait_until_closed(never)
    assert probe is not None
    breaker.release_probe(probe)
    assert breaker.wait_until_closed(never)


def test_a_probe_that_was_lost_to_another_process_is_not_taken_from_it(client: redis.Redis) -> None:
    """A process stands still for longer than the lease, as when its host is suspended."""
    suspended, other, third = make_breaker(client), make_breaker(client), make_breaker(client)
    suspended.open("credentials_rejected")
    lost = suspended.wait_until_closed(never)
    assert lost is not None
    client.delete("wearon:provider:probe")  # the lease ran out
    assert other.wait_until_closed(never)
    suspended.release_probe(lost)
    assert third._take_probe() is None


PROBER = """
import signal, sys
from services.turns.breaker import ProviderBreaker
from services.queue.connection import connect
ProviderBreaker(connect(sys.argv[1]), poll_seconds=0.05, probe_lease_seconds=0.5).wait_until_closed(lambda: False)
print("probing", flush=True)
signal.pause()
"""


def test_a_probe_whose_process_is_killed_is_soon_followed_by_another(
    client: redis.Redis, redis_server: LocalRedis
) -> None:
    survivor = make_breaker(client)
    survivor.open("credentials_rejected")
    with subprocess.Popen([sys.executable, "-c", PROBER, redis_server.url], stdout=subprocess.PIPE) as prober:
        try:
            assert prober.stdout is not None
            assert prober.stdout.readline() == b"probing\n"
        finally:
            prober.kill()
    with callers(1) as (pool, closing):
        assert pool.submit(survivor.wait_until_closed, closing).result(timeout=5)


def test_the_right_to_probe_is_a_lease_of_seconds_not_of_the_longest_call(client: redis.Redis) -> None:
    breaker = make_breaker(client)
    breaker.open("credentials_rejected")
    assert breaker.wait_until_closed(never)
    assert client.ttl("wearon:provider:probe") <= 15  # type: ignore[operator] # redis-py types both clients as one


def test_a_probe_that_takes_longer_than_its_lease_stays_the_only_one(client: redis.Redis) -> None:
    breaker = make_breaker(client, renewals_per_lease=300)
    breaker.open("credentials_rejected")
    probe = breaker.wait_until_closed(never)
    assert probe is not None
    for _ in range(2):
        client.expire("wearon:provider:probe", 10)  # as if a part of the lease had gone by
        wait_until(lambda: lease_seconds_left(client) > 10)
    assert not make_breaker(client)._take_probe()
    breaker.release_probe(probe)
    assert make_breaker(client)._take_probe()


def lease_seconds_left(client: redis.Redis) -> float:
    """Of the right to probe."""
    return client.pttl("wearon:provider:probe") / 1000  # type: ignore[operator] # redis-py types both clients as one


def test_a_probe_that_never_gets_a_verdict_is_given_up_and_followed_by_another(client: redis.Redis) -> None:
    silent, other = make_breaker(client, probe_seconds=0.2, probe_lease_seconds=0.5), make_breaker(client)
    silent.open("credentials_rejected")
    assert silent.wait_until_closed(never)
    with callers(1) as (pool, closing):
        assert pool.submit(other.wait_until_closed, closing).result(timeout=10)


def test_of_two_hosts_that_see_the_pause_end_one_probes(client: redis.Redis) -> None:
    first, second = make_breaker(client), make_breaker(client)
    assert [first._take_probe() is None, second._take_probe() is None] == [False, True]


def test_the_closed_state_costs_one_command_however_many_call(client: redis.Redis) -> None:
    breaker = ProviderBreaker(client, closed_cache_seconds=60)
    client.config_resetstat()
    with callers(8) as (pool, closing):
        with breaker._queue.held(never):
            calls = [pool.submit(breaker.wait_until_closed, closing) for _ in range(8)]
            wait_until(lambda: len(breaker._queue._waiting) == 8)
        assert [call.result(timeout=5) for call in calls] == [None] * 8
    stats = client.info("commandstats")
    assert isinstance(stats, dict)
    assert stats["cmdstat_mget"]["calls"] == 1


def test_verdicts_given_while_redis_is_away_are_not_lost(client: redis.Redis, redis_server: LocalRedis) -> None:
    breaker, other_host = make_breaker(client), make_breaker(client, pause_seconds=60)
    redis_server.kill()
    other_host.release_probe(Probe())
    other_host.open("quota_exhausted")
    assert not breaker.is_closed(), "nobody calls while the state is unknown"
    redis_server.start()
    assert not other_host.is_closed()
    assert not breaker.is_closed()
    assert client.get("wearon:provider:blocked") == b"quota_exhausted"


def test_waiting_survives_a_restart_of_redis(client: redis.Redis, redis_server: LocalRedis) -> None:
    breaker = make_breaker(client)
    breaker.open("quota_exhausted")
    with callers(1) as (pool, closing):
        call = pool.submit(breaker.wait_until_closed, closing)
        redis_server.kill()
        redis_server.start()
        assert call.result(timeout=20)


def test_a_shutdown_ends_the_waiting(client: redis.Redis) -> None:
    breaker = make_breaker(client, pause_seconds=60)
    breaker.open("quota_exhausted")
    closing = threading.Event()
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(breaker.wait_until_closed, closing.is_set) for _ in range(3)]
        closing.set()
        for call in calls:
            with pytest.raises(ShuttingDown):
                call.result(timeout=5)


def test_only_the_probes_answer_closes_the_breaker(client: redis.Redis) -> None:
    """Calls that were under way when the account was blocked prove nothing."""
    turns = make_turns(client)
    early, blocked = turns.acquire(never), turns.acquire(never)
    started = time.monotonic()
    turns.report(blocked, TurnOutcome.BLOCKED, "quota_exhausted")
    turns.report(early, TurnOutcome.ANSWERED)
    assert client.exists("wearon:provider:blocked")
    with callers(1) as (pool, closing):
        probe = pool.submit(turns.acquire, closing).result(timeout=10)
    assert time.monotonic() - started >= PAUSE_SECONDS
    assert probe.probe
    assert probe.waited_seconds > 0
    turns.report(probe, TurnOutcome.ANSWERED)
    assert not client.exists("wearon:provider:blocked")
    assert not turns.acquire(never).probe


def test_a_turn_is_not_given_if_the_breaker_opened_while_it_was_waited_for(client: redis.Redis) -> None:
    others, gate = (RateGate(client, turns_per_window=2, spacing_seconds=0, max_sleep_seconds=0.05) for _ in range(2))
    for _ in range(2):
        others.acquire(never)
    turns = TurnGate(gate, make_breaker(client, closed_cache_seconds=0))
    with callers(1) as (pool, closing):
        waiting = pool.submit(turns.acquire, closing)
        wait_until(lambda: not gate._queue._free)
        make_breaker(client, pause_seconds=1.5).open("quota_exhausted")
        client.delete("wearon:provider:rate:window")  # the turns of the others are long ago
        turn = waiting.result(timeout=10)
    assert turn.probe
    assert turn.waited_seconds >= 1.5 - 0.1


def test_a_probe_that_is_cancelled_at_the_gate_is_given_back(client: redis.Redis) -> None:
    gate = RateGate(client, turns_per_window=1, spacing_seconds=0)
    turns = TurnGate(gate, make_breaker(client))
    turns.report(turns.acquire(never), TurnOutcome.BLOCKED, "quota_exhausted")
    closing = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        probe = pool.submit(turns.acquire, closing.is_set)
        wait_until(lambda: client.exists("wearon:provider:probe") == 1)
        closing.set()
        with pytest.raises(ShuttingDown):
            probe.result(timeout=5)
    assert not client.exists("wearon:provider:probe")
