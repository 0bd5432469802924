"""A turn at the provider is given only while Storage takes pictures, on a real Redis."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from models.failures import NoLongerWanted, StorageRefused
from sandbox.servers.redis import LocalRedis
from services.platform.storage_gate import StorageGate
from services.providers.turns_while_stored import turn_while_stored
from services.queue.connection import connect
from services.shutdown import ShuttingDown
from services.turns.breaker import ProviderBreaker
from services.turns.gate import Turn, TurnGate
from services.turns.window import RateGate, Slot

NO_BUCKET = StorageRefused("store_result", "HTTP 404", "Bucket not found")
NO_PROBE_SECONDS = 3_600.0
EVENT_TIMEOUT_SECONDS = 30.0


class ClosingRateGate(RateGate):
    """At the first turn, Storage refuses a picture while the caller waits here."""

    def __init__(self, client: redis.Redis, close: Callable[[], None]) -> None:
        super().__init__(client, turns_per_window=1_000, spacing_seconds=0)
        self._close = close
        self.turns = 0

    def acquire(self, cancelled: Callable[[], bool], *, input_images: int = 1) -> Slot:
        slot = super().acquire(cancelled, input_images=input_images)
        self.turns += 1
        if self.turns == 1:
            self._close()
        return slot


@pytest.fixture
def client(redis_server: LocalRedis) -> Iterator[redis.Redis]:
    redis_server.start()
    with connect(redis_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def storage() -> StorageGate:
    return StorageGate(lambda: None, lambda _: None, pause_seconds=NO_PROBE_SECONDS)


def wait(
    gate: RateGate, client: redis.Redis, storage: StorageGate, cancelled: Callable[[], bool], *, wanted: bool = True
) -> Turn:
    turns = TurnGate(gate, ProviderBreaker(client))
    return turn_while_stored(
        storage, turns, lambda: turns.acquire(cancelled), cancelled=cancelled, still_wanted=lambda: wanted
    )


def test_who_was_waiting_at_the_rate_gate_when_storage_closed_waits_for_it_to_open(
    client: redis.Redis, storage: StorageGate
) -> None:
    gate = ClosingRateGate(client, lambda: storage.refused(NO_BUCKET))
    looked = threading.Event()

    def cancelled() -> bool:
        if gate.turns:  # it has had a turn, and looks whether it is to go on waiting
            looked.set()
        return False

    with ThreadPoolExecutor(1) as pool:
        turn = pool.submit(wait, gate, client, storage, cancelled)
        assert looked.wait(EVENT_TIMEOUT_SECONDS)
        assert not turn.done()
        storage.stored()
        assert turn.result(EVENT_TIMEOUT_SECONDS).waited_seconds > 0
    assert gate.turns == 2


@pytest.fixture
def gate(client: redis.Redis) -> RateGate:
    return RateGate(client, turns_per_window=1_000)


def test_a_shutdown_ends_the_wait(client: redis.Redis, storage: StorageGate, gate: RateGate) -> None:
    storage.refused(NO_BUCKET)
    with pytest.raises(ShuttingDown):
        wait(gate, client, storage, lambda: True)


def test_who_settles_the_session_ends_the_wait(client: redis.Redis, gate: RateGate) -> None:
    storage = StorageGate(lambda: None, lambda _: None, pause_seconds=NO_PROBE_SECONDS, look_seconds=0)
    storage.refused(NO_BUCKET)
    with pytest.raises(NoLongerWanted):
        wait(gate, client, storage, lambda: False, wanted=False)
