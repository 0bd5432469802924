"""The provider client against the strict simulator and a real Redis."""

import asyncio
import io
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
from PIL import Image
from structlog.testing import capture_logs

from models import failures
from models.generation import GeneratedImage
from models.image_models import KNOWN_MODELS, parse_models
from sandbox.openai_sim.client import SimulatorClient
from sandbox.openai_sim.server import running_simulator
from sandbox.servers.redis import LocalRedis
from services.providers.client import ImageClient
from services.providers.openai.images import OpenAIImages
from services.providers.openai.wire import EXCHANGE_LIMITS, ExchangeLimits
from services.queue.connection import connect
from services.shutdown import ShuttingDown
from services.turns.breaker import ProviderBreaker
from services.turns.gate import TurnGate
from services.turns.window import RateGate, Slot
from tests.support.clock import SteppableLoop, run_in
from tests.support.worker import HELD, wait_until

API_KEY = "sk-test-0123456789"
SIZE = (80, 120)
MODELS = "gpt-image-1.5,gpt-image-2.6-sunburst"

EVERY_TURN_IS_STALE = ExchangeLimits(turn_fresh_seconds=-math.inf)

MINUTE = 60.0
HOUR = 3600.0
MICROSECOND = 2e-6
"""To which stamps are rounded."""


def picture(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", SIZE, colour).save(buffer, "JPEG")
    return buffer.getvalue()


IMAGES = [picture("tan"), picture("navy")]


class Clock:
    """A task's clock, on real time unless told otherwise."""

    def __init__(self, limit_seconds: float = MINUTE, *, now: Callable[[], float] = time.monotonic) -> None:
        self.limit_seconds = limit_seconds
        self.paused_seconds = 0.0
        self.is_paused = False
        self._now = now
        self._started = now()

    def remaining_seconds(self) -> float:
        return self.limit_seconds - (self._now() - self._started - self.paused_seconds)

    @contextmanager
    def paused(self) -> Iterator[None]:
        started = self._now()
        self.is_paused = True
        try:
            yield
        finally:
            self.is_paused = False
            self.paused_seconds += self._now() - started


class WatchedGate(RateGate):
    """Keeps what slots it gave and how late they were used; each takes as much longer as the test says."""

    def __init__(self, store: redis.Redis, **options: Any) -> None:
        super().__init__(store, **options)
        self.slots: list[Slot] = []
        self.late_seconds: list[float] = []
        self.wait: Callable[[], None] = lambda: None

    @property
    def moments(self) -> list[float]:
        return [float(slot.stamp) for slot in self.slots]

    def acquire(self, cancelled: Callable[[], bool], *, input_images: int = 1) -> Slot:
        self.wait()
        slot = super().acquire(cancelled, input_images=input_images)
        self.slots.append(slot)
        return slot

    def sent(self, slot: Slot) -> None:
        self.late_seconds.append(time.monotonic() - slot.opens_at)
        super().sent(slot)


@dataclass
class Told:
    """What a client's hooks were told."""

    attempts: list[tuple[str, int | None, str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    slept_seconds: list[float] = field(default_factory=list)


@dataclass
class Caller:
    """A client, its listener and the gate where it takes its turns."""

    client: ImageClient
    told: Told
    gate: WatchedGate

    def edit(
        self, prompt: str = "wear it", *, clock: Clock | None = None, loop: SteppableLoop | None = None
    ) -> GeneratedImage:
        """One call in an event loop of its own, as a task makes it."""
        return run_in(
            loop or SteppableLoop(),
            self.client.edit(
                images=IMAGES,
                person_size=SIZE,
                prompt=prompt,
                safety_identifier="a" * 64,
                clock=clock or Clock(),
            ),
        )


@pytest.fixture
def store(redis_server: LocalRedis) -> Iterator[redis.Redis]:
    redis_server.start()
    with connect(redis_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorClient]:
    with running_simulator() as client:
        yield client


@pytest.fixture
def sim(simulator: SimulatorClient) -> SimulatorClient:
    simulator.reset()
    return simulator


def make_caller(
    store: redis.Redis,
    base_url: str,
    *,
    models: str = MODELS,
    max_retries: int = 3,
    turns_per_window: int = 1_000,
    images_per_window: int | None = None,
    window_seconds: int = 61,
    pause_seconds: float = 0.3,
    cancelled: Callable[[], bool] = lambda: False,
    limits: ExchangeLimits = EXCHANGE_LIMITS,
    random_unit: Callable[[], float] = lambda: 0.5,
) -> Caller:
    gate = WatchedGate(
        store,
        turns_per_window=turns_per_window,
        images_per_window=images_per_window,
        window_seconds=window_seconds,
        spacing_seconds=0,
    )
    breaker = ProviderBreaker(store, pause_seconds=pause_seconds, poll_seconds=0.02, closed_cache_seconds=0.01)

    told = Told()

    async def sleep(seconds: float) -> None:
        told.slept_seconds.append(seconds)

    client = ImageClient(
        OpenAIImages(base_url, API_KEY),
        models=parse_models(models),
        max_retries=max_retries,
        turns=TurnGate(gate, breaker),
        cancelled=cancelled,
        on_attempt=lambda model, status, code: told.attempts.append((model, status, code)),
        on_model_gone=told.gone.append,
        limits=limits,
        sleep=sleep,
        random_unit=random_unit,
    )
    return Caller(client, told, gate)


@pytest.fixture
def caller(store: redis.Redis, sim: SimulatorClient) -> Caller:
    return make_caller(store, sim.base_url)


def test_an_edit_gives_a_jpeg_with_tokens_and_price(caller: Caller, sim: SimulatorClient) -> None:
    image = caller.edit()
    with Image.open(io.BytesIO(image.jpeg)) as result:
        assert (result.format, result.size) == ("JPEG", (1024, 1536))
    assert image.model == "gpt-image-1.5"
    assert image.usage is not None
    assert image.usage.input_image_tokens > 0
    assert image.usage.output_tokens > 0
    assert image.estimated_cost_usd is not None
    assert image.estimated_cost_usd > 0
    assert caller.told.attempts == [("gpt-image-1.5", 200, "ok")]


@pytest.mark.parametrize("model", KNOWN_MODELS)
def test_the_strict_simulator_accepts_the_request_of_every_model(
    store: redis.Redis, sim: SimulatorClient, model: str
) -> None:
    assert make_caller(store, sim.base_url, models=model).edit("").model == model


@pytest.mark.parametrize(
    ("fault", "failure", "status"),
    [
        ("moderation", failures.Moderated, 400),
        ("moderation-output", failures.Moderated, 400),
        ("content-policy", failures.Moderated, 400),
        ("moderation-403", failures.Moderated, 403),
        ("person-limited", failures.Moderated, 403),
        ("bad-request", failures.ProviderRejectedRequest, 400),
        ("429-always", failures.RateLimited, 429),
        ("quota", failures.QuotaExhausted, 429),
        ("credit-exhausted", failures.QuotaExhausted, 429),
        ("spend-limit", failures.QuotaExhausted, 429),
        ("401", failures.CredentialsRejected, 401),
        ("403", failures.CredentialsRejected, 403),
        ("malformed", failures.ProviderAnswerUnusable, 200),
        ("no-image", failures.ProviderAnswerUnusable, 200),
        ("not-a-picture", failures.ProviderAnswerUnusable, 200),
        ("png-instead", failures.ProviderAnswerUnusable, 200),
    ],
)
def test_a_final_answer_is_its_failure_after_one_attempt(
    caller: Caller, fault: str, failure: type[failures.ProviderFailure], status: int
) -> None:
    with pytest.raises(failures.ProviderFailure) as caught:
        caller.edit(f"[[sim:{fault}]]")
    assert type(caught.value) is failure
    assert caught.value.status == status
    assert caller.told.attempts == [("gpt-image-1.5", status, failure.kind)]
    assert caller.told.slept_seconds == []
    assert API_KEY not in str(caught.value)


@pytest.mark.parametrize("fault", ["429-wait=37", "429-wait-date=37", "429-wait-words=37", "429-wait-reset=37"])
def test_the_wait_a_rate_limit_names_is_handed_on_and_not_waited_for_here(caller: Caller, fault: str) -> None:
    with pytest.raises(failures.RateLimited) as caught:
        caller.edit(f"[[sim:{fault}]]")
    assert caught.value.retry_after_seconds == pytest.approx(37, abs=3)
    assert caller.told.slept_seconds == []


def test_what_was_cached_costs_less_and_the_log_has_the_price(caller: Caller) -> None:
    whole = caller.edit()
    with capture_logs() as logs:
        cached = caller.edit("[[sim:cached-input]]")
    assert whole.usage is not None
    assert cached.usage is not None
    assert whole.estimated_cost_usd is not None
    assert cached.estimated_cost_usd is not None
    assert cached.usage.input_image_tokens == whole.usage.input_image_tokens
    assert cached.usage.cached_image_tokens == whole.usage.input_image_tokens // 2
    assert cached.estimated_cost_usd < whole.estimated_cost_usd
    [made] = [line for line in logs if line["event"] == "provider_image_made"]
    assert made["estimated_cost_usd"] == str(cached.estimated_cost_usd)
    assert made["cached_tokens"] == cached.usage.cached_tokens


def test_a_missing_bill_does_not_cost_the_picture(caller: Caller) -> None:
    unpriced = caller.edit("[[sim:no-usage]]")
    assert (unpriced.usage, unpriced.estimated_cost_usd) == (None, None), "no picture is free"
    undivided = caller.edit("[[sim:usage-without-details]]").usage
    assert undivided is not None
    assert undivided.input_text_tokens == 0


@pytest.mark.parametrize("fault", ["500-always", "503-always", "408-always", "409-always", "drop"])
def test_a_passing_failure_is_tried_again_in_the_same_call(caller: Caller, sim: SimulatorClient, fault: str) -> None:
    sim.set_faults({"name": fault, "times": 1})
    assert caller.edit().jpeg
    assert [code for _, _, code in caller.told.attempts] == ["provider_unavailable", "ok"]


@pytest.mark.parametrize("fault", ["500-always", "503-always", "408-always", "409-always", "drop"])
def test_a_lasting_failure_is_given_up_after_the_retries(caller: Caller, fault: str) -> None:
    with pytest.raises(failures.ProviderUnavailable):
        caller.edit(f"[[sim:{fault}]]")
    assert [code for _, _, code in caller.told.attempts] == ["provider_unavailable"] * 4
    assert caller.told.slept_seconds == [0.25, 0.5, 1.0], "full jitter: half of 0.5, 1 and 2 s"


def test_the_backoff_is_capped(store: redis.Redis, sim: SimulatorClient) -> None:
    caller = make_caller(store, sim.base_url, max_retries=7)
    with pytest.raises(failures.ProviderUnavailable):
        caller.edit("[[sim:500-always]]")
    assert caller.told.slept_seconds[-2:] == [4.0, 4.0]


def test_a_refused_connection_is_tried_again_and_then_given_up(store: redis.Redis) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        caller = make_caller(store, f"http://127.0.0.1:{unused.getsockname()[1]}/v1")
        with pytest.raises(failures.ProviderUnavailable, match="ConnectError"):
            caller.edit()
    assert caller.told.attempts == [("gpt-image-1.5", None, "provider_unavailable")] * 4


@pytest.mark.parametrize("fault", ["hang", "slow-drip"])
def test_a_provider_that_is_silent_ends_with_the_tasks_time(caller: Caller, sim: SimulatorClient, fault: str) -> None:
    limit_seconds = EXCHANGE_LIMITS.answer_timeout_seconds / 2
    loop = SteppableLoop()
    clock = Clock(limit_seconds, now=loop.time)
    with ThreadPoolExecutor(1) as pool:
        edit = pool.submit(caller.edit, f"[[sim:{fault}]]", clock=clock, loop=loop)
        wait_until(lambda: sim.stats()["requests"] == 1, "the provider is asked")
        loop.advance_threadsafe(limit_seconds)
        with pytest.raises(failures.DeadlineExceeded) as caught:
            edit.result()
    assert caught.value.limit_seconds == limit_seconds
    assert clock.remaining_seconds() < 0.1, "not before"
    assert clock.remaining_seconds() > -EXCHANGE_LIMITS.answer_timeout_seconds / 2, "long before other limits end it"
    assert caller.told.attempts == [("gpt-image-1.5", None, "deadline_exceeded")]


def test_a_silent_attempt_is_given_up_in_time_for_another(store: redis.Redis, sim: SimulatorClient) -> None:
    caller = make_caller(store, sim.base_url, limits=ExchangeLimits(attempt_timeout_seconds=0.3))
    with pytest.raises(failures.ProviderUnavailable):
        caller.edit("[[sim:hang]]")
    assert len(caller.told.attempts) == 4


def test_answers_that_trickle_hold_up_nobody(caller: Caller, sim: SimulatorClient) -> None:
    """Neither one another nor an answer that lies ready, and none is asked and paid for again."""
    with ThreadPoolExecutor(12) as pool:
        trickling = [pool.submit(caller.edit, "[[sim:held-midway]]") for _ in range(12)]
        wait_until(lambda: sim.stats()["held"] == 12, "half of each answer was sent")
        assert caller.edit().jpeg
        assert not any(edit.done() for edit in trickling)
        sim.release()
        assert all(edit.result().jpeg for edit in trickling)
    assert caller.told.attempts == [("gpt-image-1.5", 200, "ok")] * 13


def test_waiting_for_memory_counts_neither_against_the_attempt_nor_against_the_task(
    caller: Caller, sim: SimulatorClient
) -> None:
    """An answer that lies ready is not given up and paid for again."""
    memory, half_bytes = caller.client._wire._memory, EXCHANGE_LIMITS.answer_memory_bytes // 2
    loop = SteppableLoop()
    clock = Clock(now=loop.time)
    with ThreadPoolExecutor(1) as pool:
        with memory.holding("one half") as one, memory.holding("the other") as other:
            for others in (one, other):
                asyncio.run(others.hold(half_bytes, half_bytes))
            edit = pool.submit(caller.edit, clock=clock, loop=loop)
            wait_until(lambda: memory._waiting and clock.is_paused, "an answer waits for memory")
            loop.advance_threadsafe(HOUR)
        assert edit.result().jpeg
    assert caller.told.attempts == [("gpt-image-1.5", 200, "ok")]
    assert sim.stats()["requests"] == 1


def test_many_answers_pass_through_the_memory_of_four(store: redis.Redis, sim: SimulatorClient) -> None:
    limits = ExchangeLimits(max_answer_bytes=100_000, answer_memory_bytes=400_000)
    caller = make_caller(store, sim.base_url, limits=limits)
    sim.set_latency("1")
    with ThreadPoolExecutor(24) as pool:
        sizes = [len(edit.jpeg) for edit in pool.map(lambda _: caller.edit(), range(24))]
    assert 24 * min(sizes) > limits.answer_memory_bytes
    assert caller.told.attempts == [("gpt-image-1.5", 200, "ok")] * 24
    assert caller.client._wire._memory._held_bytes == 0


def test_an_answer_that_trickles_does_not_keep_its_memory(store: redis.Redis, sim: SimulatorClient) -> None:
    caller = make_caller(store, sim.base_url, limits=ExchangeLimits(answer_timeout_seconds=0.3))
    with pytest.raises(failures.ProviderUnavailable):
        caller.edit("[[sim:slow-drip]]")
    assert len(caller.told.attempts) == 4


def test_no_retry_begins_that_the_tasks_time_does_not_cover(store: redis.Redis, sim: SimulatorClient) -> None:
    """A minute of backoff does not fit into what is left: the cause is told, not the clock."""
    caller = make_caller(store, sim.base_url, random_unit=lambda: 120.0)
    with pytest.raises(failures.ProviderUnavailable):
        caller.edit("[[sim:500-always]]", clock=Clock(MINUTE - 1))
    assert caller.told.slept_seconds == []


def test_a_task_without_time_asks_nobody(caller: Caller, sim: SimulatorClient) -> None:
    with pytest.raises(failures.DeadlineExceeded):
        caller.edit(clock=Clock(0))
    assert sim.stats()["requests"] == 0


def test_waiting_for_a_turn_does_not_count_against_the_task(caller: Caller) -> None:
    loop = SteppableLoop()
    clock = Clock(now=loop.time)
    caller.gate.wait = lambda: loop.advance(HOUR)
    assert caller.edit(clock=clock, loop=loop).jpeg
    assert clock.remaining_seconds() > 0


def test_every_attempt_takes_its_turn(store: redis.Redis, sim: SimulatorClient) -> None:
    caller = make_caller(store, sim.base_url, turns_per_window=2, window_seconds=2)
    with pytest.raises(failures.ProviderUnavailable):
        caller.edit("[[sim:500-always]]")
    moments = caller.gate.moments
    assert sim.stats()["requests"] == len(moments) == 4
    assert moments[2] - moments[0] >= 2 - MICROSECOND
    assert moments[3] - moments[1] >= 2 - MICROSECOND
    assert min(caller.gate.late_seconds) >= -MICROSECOND, "none leaves before its moment"


def test_every_picture_of_an_attempt_counts_against_the_limit_on_pictures(
    store: redis.Redis, sim: SimulatorClient
) -> None:
    """A request has two; the second attempt needs two more, and a turn that went stale another two."""
    caller = make_caller(store, sim.base_url, images_per_window=4, window_seconds=2)
    late_caller = make_caller(store, sim.base_url, images_per_window=4, window_seconds=2, limits=EVERY_TURN_IS_STALE)
    sim.set_faults({"name": "500-always", "times": 1})
    caller.edit()
    late_caller.edit()
    assert [slot.input_images for slot in caller.gate.slots + late_caller.gate.slots] == [2, 2, 2, 2]
    moments = caller.gate.moments + late_caller.gate.moments
    assert moments[2] - moments[0] >= 2 - MICROSECOND
    assert moments[3] - moments[1] >= 2 - MICROSECOND


def test_a_request_whose_turn_went_stale_takes_another(store: redis.Redis, sim: SimulatorClient) -> None:
    """Waiting for the other one does not count against the task either."""
    caller = make_caller(store, sim.base_url, limits=EVERY_TURN_IS_STALE)
    loop = SteppableLoop()
    caller.gate.wait = lambda: loop.advance(HOUR)
    assert caller.edit(clock=Clock(now=loop.time), loop=loop).jpeg
    assert len(caller.gate.slots) == 2
    assert caller.told.attempts == [("gpt-image-1.5", 200, "ok")]


def test_a_shutdown_ends_a_call_that_waits_for_its_turn(store: redis.Redis, sim: SimulatorClient) -> None:
    closing = threading.Event()
    caller = make_caller(store, sim.base_url, turns_per_window=1, cancelled=closing.is_set)
    caller.edit()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(caller.edit)
        closing.set()
        with pytest.raises(ShuttingDown):
            waiting.result(timeout=10)
    assert sim.stats()["requests"] == 1


def test_when_a_model_is_gone_the_same_call_goes_on_with_the_next(caller: Caller, sim: SimulatorClient) -> None:
    sim.retire("gpt-image-1.5")
    assert caller.edit().model == "gpt-image-2.6-sunburst"
    assert caller.edit().model == "gpt-image-2.6-sunburst"
    assert [code for _, _, code in caller.told.attempts] == ["model_gone", "ok", "ok"], "it is not asked for again"
    assert caller.told.gone == ["gpt-image-1.5"]


@pytest.mark.parametrize("fault", ["unverified", "no-access"])
def test_when_a_model_is_refused_to_the_account_the_same_call_goes_on_with_the_next(
    caller: Caller, store: redis.Redis, sim: SimulatorClient, fault: str
) -> None:
    sim.set_faults({"name": fault, "value": "gpt-image-1.5"})
    with capture_logs() as logs:
        assert caller.edit().model == "gpt-image-2.6-sunburst"
    assert caller.edit().model == "gpt-image-2.6-sunburst"
    assert [(status, code) for _, status, code in caller.told.attempts] == [
        (403, "model_refused"),
        (200, "ok"),
        (200, "ok"),
    ], "it is not asked every time"
    [refused] = [line for line in logs if line["event"] == "image_model_refused"]
    assert (refused["log_level"], refused["next_model"]) == ("error", "gpt-image-2.6-sunburst")
    assert "gpt-image-1.5" in refused["reason"], "the provider's own words"
    assert caller.told.gone == []
    assert not store.exists("wearon:provider:blocked")


def test_calls_pause_only_when_every_model_is_refused_and_go_on_when_one_is_allowed(
    caller: Caller, store: redis.Redis, sim: SimulatorClient
) -> None:
    sim.set_faults("unverified")
    with pytest.raises(failures.NoModelLeft, match=r"must be verified .*gpt-image-2\.6-sunburst.*must be verified"):
        caller.edit()
    assert store.get("wearon:provider:blocked") == b"no_model_left"
    sim.set_faults()
    assert caller.edit().model == "gpt-image-1.5"
    assert not store.exists("wearon:provider:blocked")


def test_a_model_that_goes_under_many_calls_is_counted_once(caller: Caller, sim: SimulatorClient) -> None:
    sim.retire("gpt-image-1.5")
    with ThreadPoolExecutor(6) as pool:
        images = list(pool.map(lambda _: caller.edit(), range(6)))
    assert {image.model for image in images} == {"gpt-image-2.6-sunburst"}
    assert caller.told.gone == ["gpt-image-1.5"]


def test_without_any_model_calls_fail_one_by_one_at_the_breakers_pace(store: redis.Redis, sim: SimulatorClient) -> None:
    caller = make_caller(store, sim.base_url, models="gpt-image-1.5", pause_seconds=1)
    sim.retire("gpt-image-1.5")
    started = time.monotonic()
    for _ in range(2):
        with pytest.raises(failures.NoModelLeft):
            caller.edit()
    assert time.monotonic() - started >= 1, "the second waited for the pause to end"
    assert sim.stats()["requests"] == 2, "each asks once, in case the account was mended"


def test_models_that_come_back_are_used_again_without_a_restart(store: redis.Redis, sim: SimulatorClient) -> None:
    caller = make_caller(store, sim.base_url, models="gpt-image-1.5,gpt-image-2")
    sim.retire("gpt-image-1.5")
    sim.retire("gpt-image-2")
    with pytest.raises(failures.NoModelLeft):
        caller.edit()
    sim.reset()
    assert caller.edit().model == "gpt-image-1.5"
    assert not store.exists("wearon:provider:blocked")


def test_a_used_up_quota_pauses_all_calls_until_one_probe_goes_through(
    store: redis.Redis, sim: SimulatorClient
) -> None:
    one_host, other_host = (make_caller(store, sim.base_url, pause_seconds=1) for _ in range(2))
    started = time.monotonic()
    with pytest.raises(failures.QuotaExhausted):
        one_host.edit("[[sim:quota]]")
    clock = Clock()
    assert other_host.edit(clock=clock).jpeg
    assert time.monotonic() - started >= 1
    assert clock.paused_seconds > 0
    assert not store.exists("wearon:provider:blocked")


def test_a_refusal_of_one_picture_closes_the_breaker_too(caller: Caller, store: redis.Redis) -> None:
    """Moderation of the probe's picture says that the account works."""
    with pytest.raises(failures.QuotaExhausted):
        caller.edit("[[sim:quota]]")
    with pytest.raises(failures.Moderated):
        caller.edit("[[sim:moderation]]")
    assert not store.exists("wearon:provider:blocked")


def test_a_probe_without_an_answer_does_not_close_the_breaker(store: redis.Redis, sim: SimulatorClient) -> None:
    caller = make_caller(store, sim.base_url, max_retries=0)
    with pytest.raises(failures.QuotaExhausted):
        caller.edit("[[sim:quota]]")
    with pytest.raises(failures.ProviderUnavailable):
        caller.edit("[[sim:500-always]]")
    assert store.exists("wearon:provider:blocked")
    assert not store.exists("wearon:provider:probe"), "somebody else may probe"


def test_no_secret_reaches_a_log_or_a_failure(caller: Caller) -> None:
    with capture_logs() as logs, pytest.raises(failures.CredentialsRejected) as caught:
        caller.edit("a secret wish [[sim:401]]")
    assert [entry["event"] for entry in logs] == ["provider_asked", "provider_attempt_failed", "provider_calls_paused"]
    for secret in ("sk-", API_KEY, "a secret wish", "a" * 64):
        assert secret not in f"{logs} {caught.value}"


def test_an_endless_answer_is_cut_off(store: redis.Redis, sim: SimulatorClient) -> None:
    caller = make_caller(store, sim.base_url, limits=ExchangeLimits(max_answer_bytes=1_000))
    with pytest.raises(failures.ProviderAnswerUnusable, match="more than 1000 bytes"):
        caller.edit()


def test_many_calls_at_once_all_get_their_picture(caller: Caller, sim: SimulatorClient) -> None:
    """Each in its own thread and event loop."""
    with ThreadPoolExecutor(24) as pool:
        edits = [pool.submit(caller.edit, HELD) for _ in range(24)]
        wait_until(lambda: sim.stats()["held"] == 24, "all are under way")
        sim.release()
        assert all(edit.result().jpeg for edit in edits)
