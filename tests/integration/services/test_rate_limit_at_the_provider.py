"""The rate limit where it counts: at the provider's end of connections that take very different times to come about."""

import asyncio
import random
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import cast

import httpx
import pytest
import redis

from models.image_models import parse_models
from sandbox.openai_sim import running_simulator
from sandbox.servers.processes import LOOPBACK
from sandbox.servers.redis import LocalRedis
from services.providers.client import ImageClient
from services.providers.openai import wire as openai_wire
from services.providers.openai.images import OpenAIImages
from services.providers.openai.wire import Attempt
from services.queue.connection import connect
from services.tls import SharedClientContext
from services.turns.breaker import ProviderBreaker
from services.turns.gate import TurnGate
from services.turns.window import LEAD_SECONDS, MARGIN_SECONDS, PUNCTUAL_SECONDS, RateGate
from tests.support.images import plain
from tests.support.tls import Authority, TlsFront
from worker.execution.clock import TaskClock

LIMIT = 5
PROVIDER_WINDOW_SECONDS = 4.0
WINDOW_SECONDS = PROVIDER_WINDOW_SECONDS + MARGIN_SECONDS
SHORT_WINDOW_SECONDS = 1.0
LONG_WINDOW_SECONDS = 60.0

REQUESTS = 15
FASTEST_SECONDS = (REQUESTS / LIMIT - 1) * WINDOW_SECONDS
"""From the first request to the last, with the window used to the full."""

LONGEST_HANDSHAKE_SECONDS = 1.0
"""So late that it matters, and so early that the stamp still counts when it is moved, on a machine that stands still
for three seconds too."""
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
) -> Iterator[TlsFront]:
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
        yield front


def worker(
    front: TlsFront, store: redis.Redis, *, limit: int = LIMIT, window_seconds: float = WINDOW_SECONDS
) -> ImageClient:
    """What one worker calls the provider with."""
    gate = RateGate(store, turns_per_window=limit, window_seconds=window_seconds, spacing_seconds=0.01)
    return ImageClient(
        OpenAIImages(f"https://{LOOPBACK}:{front.port}/v1", "sk-test-00000000000000000000"),
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


def note_when_it_writes(client: ImageClient, written: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """The instants of ``time.monotonic`` just before a request leaves."""
    wait_for_moment = client._wire._wait_for_moment

    async def wait_and_note(attempt: Attempt) -> None:
        await wait_for_moment(attempt)
        written.append(time.monotonic())

    monkeypatch.setattr(client._wire, "_wait_for_moment", wait_and_note)


def test_no_window_holds_more_requests_of_two_workers_than_allowed_however_long_connecting_takes(
    store: redis.Redis, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    written: list[float] = []
    with far_away as front, ThreadPoolExecutor(REQUESTS) as pool:
        workers = [worker(front, store) for _ in range(2)]
        for client in workers:
            note_when_it_writes(client, written, monkeypatch)
        for done in [pool.submit(edit, client) for client in islice(cycle(workers), REQUESTS)]:
            done.result(timeout=60)
    written.sort()
    arrived = sorted(front.passed_on)
    assert len(written) == len(arrived) == REQUESTS
    # Each reached the provider between the two, however late a busy machine notes them.
    shortest_seconds = min(later - earlier for earlier, later in zip(written, arrived[LIMIT:], strict=False))
    assert shortest_seconds >= PROVIDER_WINDOW_SECONDS
    assert arrived[-1] - written[0] < FASTEST_SECONDS + 5 * LONGEST_HANDSHAKE_SECONDS


def test_a_request_that_was_slow_to_connect_uses_one_turn_from_when_it_left(
    store: redis.Redis, authority: Authority, tmp_path: Path
) -> None:
    slow = provider_far_away(authority, tmp_path, handshake_seconds=lambda: LONGEST_HANDSHAKE_SECONDS)
    with slow as front:
        seconds, microseconds = cast("tuple[int, int]", store.time())
        edit(worker(front, store, window_seconds=LONG_WINDOW_SECONDS))
    [stamp] = cast("list[bytes]", store.lrange("wearon:provider:rate:window", 0, -1))
    assert float(stamp) - (seconds + microseconds / 1e6) > LONGEST_HANDSHAKE_SECONDS - PUNCTUAL_SECONDS


def test_connecting_takes_no_time_from_a_window_that_is_used_to_the_full(
    store: redis.Redis, authority: Authority, tmp_path: Path
) -> None:
    """Else each window would be longer by a handshake; a busy machine makes some longer, and the next ones shorter."""
    slow = provider_far_away(authority, tmp_path, handshake_seconds=lambda: 0.8 * LEAD_SECONDS)
    with slow as front:
        client = worker(front, store, limit=1, window_seconds=SHORT_WINDOW_SECONDS)
        for _ in range(4):
            edit(client)
    gaps = [later - earlier for earlier, later in pairwise(front.passed_on)]
    assert min(gaps) < SHORT_WINDOW_SECONDS + LEAD_SECONDS / 2
