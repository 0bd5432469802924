"""What is seen of the provider's window and pause, on a real Redis, without taking or changing anything."""

import time
from collections.abc import Iterator

import pytest
import redis

from sandbox.servers.redis import LocalRedis
from services.queue.connection import connect
from services.turns.breaker import ProviderBreaker
from services.turns.provider_report import MINUTE_SECONDS, ProviderLook, ProviderReport
from services.turns.window import RateGate

TURNS = 5
WINDOW_KEY = "wearon:provider:rate:window"


@pytest.fixture
def client(redis_server: LocalRedis) -> Iterator[redis.Redis]:
    redis_server.start()
    with connect(redis_server.url) as client:
        client.flushall()
        yield client


def test_the_turns_of_all_processes_in_the_last_minute_are_counted(client: redis.Redis) -> None:
    seen = [ProviderReport(client).look().turns_taken]
    for gate in [RateGate(client, turns_per_window=300, spacing_seconds=0) for _ in range(2)]:
        for _ in range(TURNS):
            gate.acquire(lambda: False)
    seen.append(ProviderReport(client).look().turns_taken)
    assert seen == [0, 2 * TURNS]


def test_a_turn_that_is_over_a_minute_old_is_not_counted_though_its_stamp_is_still_there(client: redis.Redis) -> None:
    client.rpush(WINDOW_KEY, f"{time.time():.6f}", f"{time.time() - MINUTE_SECONDS - 1:.6f}")
    assert ProviderReport(client).look() == ProviderLook(turns_taken=1, blocked_by=None)
    assert client.llen(WINDOW_KEY) == 2, "nothing was changed"


def test_why_calls_are_paused_is_told_until_one_has_gone_through(client: redis.Redis) -> None:
    breaker = ProviderBreaker(client, pause_seconds=0.01, poll_seconds=0.01)
    breaker.open("quota_exhausted")
    seen = [ProviderReport(client).look().blocked_by]
    probe = breaker.wait_until_closed(lambda: False)
    seen.append(ProviderReport(client).look().blocked_by)
    assert probe is not None
    breaker.succeeded(probe)
    seen.append(ProviderReport(client).look().blocked_by)
    assert seen == ["quota_exhausted", "quota_exhausted", None]
