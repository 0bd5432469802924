"""A second provider beside OpenAI: the same attempts, retries and turns, and nothing of the one in the other's way."""

import asyncio
from collections.abc import Iterator

import pytest
import redis

from models.failures import NoModelLeft, QuotaExhausted
from models.generation import GeneratedImage
from models.image_models import parse_models
from sandbox.openai_sim import SimulatorClient, running_simulator
from sandbox.servers.redis import LocalRedis
from services.providers.client import ImageClient
from services.providers.image_provider import ImageProvider
from services.providers.openai.images import OpenAIImages
from services.queue.connection import connect
from services.turns.breaker import ProviderBreaker
from services.turns.gate import TurnGate
from services.turns.provider_report import ProviderReport
from services.turns.window import RateGate
from tests.support.images import plain
from tests.support.second_provider import SecondProvider, SecondServer, running_second_provider
from worker.execution.clock import TaskClock

DRAWING = b"what the second provider draws"
TURNS_PER_WINDOW = 3


@pytest.fixture
def store(redis_server: LocalRedis) -> Iterator[redis.Redis]:
    redis_server.start()
    with connect(redis_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def simulator() -> Iterator[SimulatorClient]:
    with running_simulator() as client:
        yield client


@pytest.fixture
def server() -> Iterator[SecondServer]:
    with running_second_provider(DRAWING) as server:
        yield server


@pytest.fixture
def openai(store: redis.Redis, simulator: SimulatorClient) -> ImageClient:
    return make_client(OpenAIImages(simulator.base_url, "sk-test-00000000000000000000"), store)


@pytest.fixture
def second(store: redis.Redis, server: SecondServer) -> ImageClient:
    return make_client(SecondProvider(server.base_url), store)


async def no_pause(_seconds: float) -> None:
    """Retries follow at once."""


def make_client(provider: ImageProvider, store: redis.Redis) -> ImageClient:
    return ImageClient(
        provider,
        models=parse_models("gpt-image-1.5,gpt-image-2.6-sunburst"),
        max_retries=1,
        turns=TurnGate(
            RateGate(store, provider.name, turns_per_window=TURNS_PER_WINDOW), ProviderBreaker(store, provider.name)
        ),
        sleep=no_pause,
    )


def edit(client: ImageClient) -> GeneratedImage:
    return asyncio.run(
        client.edit(
            images=[plain(64, 96), plain(50, 50)],
            person_size=(64, 96),
            prompt="wear it",
            safety_identifier="0" * 64,
            clock=TaskClock(30.0),
        )
    )


def test_it_is_asked_and_understood_in_its_own_way(second: ImageClient, server: SecondServer) -> None:
    assert edit(second).jpeg == DRAWING
    [asked] = server.asked
    assert (asked["path"], asked["key"], asked["wish"], len(asked["pictures"])) == ("/draw", "a key", "wear it", 2)


def test_its_troubles_are_dealt_with_like_anybodys(second: ImageClient, server: SecondServer) -> None:
    server.troubles += ["busy", "engine scrapped"]
    assert edit(second).model == "gpt-image-2.6-sunburst", "tried again, and then with the next model"
    assert [asked["engine"] for asked in server.asked] == ["gpt-image-1.5"] * 2 + ["gpt-image-2.6-sunburst"]


def test_each_provider_has_a_window_of_its_own(store: redis.Redis, openai: ImageClient, second: ImageClient) -> None:
    for _ in range(TURNS_PER_WINDOW):
        edit(openai)
    edit(second)
    assert store.llen("wearon:provider:rate:window") == TURNS_PER_WINDOW
    assert store.llen("wearon:providers:second:rate:window") == 1


@pytest.mark.parametrize("trouble", ["purse empty", "engine scrapped"])
def test_an_account_that_is_blocked_pauses_only_its_own_provider(
    store: redis.Redis, openai: ImageClient, second: ImageClient, server: SecondServer, trouble: str
) -> None:
    server.troubles += [trouble] * 2
    with pytest.raises((QuotaExhausted, NoModelLeft)):
        edit(second)
    assert ProviderReport(store, "second").look().blocked_by
    assert ProviderReport(store).look().blocked_by is None
    assert edit(openai).jpeg
