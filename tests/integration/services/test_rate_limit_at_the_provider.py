"""The rate limit where it counts: at the provider's end of connections that take very different times to come about."""

import asyncio
import random
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import cast

import httpx
import pytest
import redis

from models.image_models import parse_models
from proofs.bench.figures import greatest_in_window
from sandbox.openai_sim import SimulatorClient, running_simulator
from sandbox.servers.processes import LOOPBACK
from sandbox.servers.redis import LocalRedis
from services.providers.client import ImageClient
from services.providers.openai import wire as openai_wire
from services.providers.openai.images import OpenAIImages
from services.queue.connection import connect
from services.tls import SharedClientContext
from services.turns.breaker import ProviderBreaker
from services.turns.gate import TurnGate
from services.turns.window import LEAD_SECONDS, MARGIN_SECONDS, PUNCTUAL_SECONDS, RateGate
from tests.support.images import plain
from tests.support.tls import Authority, TlsFront
from worker.execution.clock import TaskClock

LIMIT = 5
PROVIDER_WINDOW_SECONDS = 2.0
MACHINE_SECONDS = 0.9
"""More margin than in production, for a busy machine: it reads arrivals late while other tests run beside this one."""

WINDOW_SECONDS = PROVIDER_WINDOW_SECONDS + MARGIN_SECONDS + MACHINE_SECONDS

REQUESTS = 15
FASTEST_SECONDS = (REQUESTS / LIMIT - 1) * WINDOW_SECONDS
"""From the first request to the last, with the window used to the full."""

LONGEST_HANDSHAKE_SECONDS = 1.5
"""So late that it matters, and so early that the stamp still counts when it is moved, on a busy machine too."""
UNSEEN_SECONDS = MARGIN_SECONDS - PUNCTUAL_SECONDS
"""What the margin has left for the ways of two requests to differ by."""


@pytest.fixture
def store(redis_server: LocalRedis) -> Iterator[redis.Redis]:
    redis_server.start()
    with connect(redis_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Makes the provider's certificate; the clients trust it."""
    authority = Authority.create(tmp_path, "of this test")
    trusting = SharedClientContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.load_verify_locations(authority.certificate_path)
    monkeypatch.setattr(openai_wire, "public_client_context", lambda: trusting)
    return authority


@contextmanager
def provider_far_away(
    authority: Authority,
    directory: Path,
    *,
    handshake_seconds: Callable[[], float],
    way_seconds: Callable[[], float] = lambda: 0.0,
) -> Iterator[tuple[str, SimulatorClient]]:
    """The simulator behind connections that take long to come about, or what is sent over them to arrive."""
    with (
        running_simulator() as simulator,
        TlsFront(
            authority.server_context(directory, LOOPBACK),
            httpx.URL(simulator.base_url).port or 0,
            handshake_delay_seconds=handshake_seconds,
            way_delay_seconds=way_seconds,
        ) as front,
    ):
        yield f"https://{LOOPBACK}:{front.port}/v1", simulator


def worker(base_url: str, store: redis.Redis, *, limit: int = LIMIT) -> ImageClient:
    """What one worker calls the provider with."""
    gate = RateGate(store, turns_per_window=limit, window_seconds=WINDOW_SECONDS, spacing_seconds=0.01)
    return ImageClient(
        OpenAIImages(base_url, "sk-test-00000000000000000000"),
        models=parse_models("gpt-image-1.5"),
        max_retries=0,
        turns=TurnGate(gate, ProviderBreaker(store)),
    )


def edit(client: ImageClient) -> None:
    """One generation in an event loop of its own, as a task makes it."""
    asyncio.run(
        client.edit(
            images=[plain(64, 96)],
            person_size=(64, 96),
            prompt="",
            safety_identifier="0" * 64,
            clock=TaskClock(60.0),
        )
    )


def test_no_window_holds_more_requests_of_two_workers_than_allowed_however_long_connecting_takes(
    store: redis.Redis, authority: Authority, tmp_path: Path
) -> None:
    """A whole limit of requests leaves late, and the next one on time: what a window without moving would let meet."""
    chance = random.Random(300)
    handshakes = cycle([LONGEST_HANDSHAKE_SECONDS] * LIMIT + [0.0] * LIMIT)
    far_away = provider_far_away(
        authority,
        tmp_path,
        handshake_seconds=handshakes.__next__,
        way_seconds=lambda: chance.uniform(0.0, UNSEEN_SECONDS),
    )
    with far_away as (base_url, simulator), ThreadPoolExecutor(REQUESTS) as pool:
        workers = cycle([worker(base_url, store), worker(base_url, store)])
        for done in [pool.submit(edit, client) for client in islice(workers, REQUESTS)]:
            done.result(timeout=60)
        arrivals = simulator.stats(arrivals=True)["arrivals"]
    assert len(arrivals) == REQUESTS
    assert greatest_in_window(arrivals, PROVIDER_WINDOW_SECONDS) <= LIMIT
    assert max(arrivals) - min(arrivals) < FASTEST_SECONDS + 5 * LONGEST_HANDSHAKE_SECONDS


def test_a_request_that_was_slow_to_connect_uses_one_turn_from_when_it_left(
    store: redis.Redis, authority: Authority, tmp_path: Path
) -> None:
    slow = provider_far_away(authority, tmp_path, handshake_seconds=lambda: LONGEST_HANDSHAKE_SECONDS)
    with slow as (base_url, _):
        seconds, microseconds = cast("tuple[int, int]", store.time())
        edit(worker(base_url, store))
    [stamp] = cast("list[bytes]", store.lrange("wearon:provider:rate:window", 0, -1))
    assert float(stamp) - (seconds + microseconds / 1e6) > LONGEST_HANDSHAKE_SECONDS - PUNCTUAL_SECONDS


def test_connecting_takes_no_time_from_a_window_that_is_used_to_the_full(
    store: redis.Redis, authority: Authority, tmp_path: Path
) -> None:
    """Else each window would be longer by a handshake."""
    windows = 3
    slow = provider_far_away(authority, tmp_path, handshake_seconds=lambda: 0.8 * LEAD_SECONDS)
    with slow as (base_url, simulator):
        client = worker(base_url, store, limit=1)
        for _ in range(windows + 1):
            edit(client)
        arrivals = simulator.stats(arrivals=True)["arrivals"]
    assert max(arrivals) - min(arrivals) < windows * WINDOW_SECONDS + MACHINE_SECONDS
