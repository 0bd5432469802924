"""The inputs of many tasks at once, from a live server: who waits for whom, and what is held how long."""

import asyncio
import gc
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from models.failures import Failure, ImageUnreachable
from models.generation import GeneratedImage
from models.image_models import parse_models
from models.stages import Stage, StageTimes
from models.task_payload import TASK_CONTRACT, GenerationTask
from sandbox.openai_sim.client import SimulatorClient
from sandbox.openai_sim.server import running_simulator
from sandbox.servers.redis import LocalRedis
from services.fetching.image_download import MAX_DOWNLOAD_BYTES, DownloadedImage
from services.fetching.url_guard import TrustedHosts
from services.providers.client import ImageClient
from services.providers.openai.images import OpenAIImages
from services.queue.connection import connect
from services.shutdown import ShuttingDown
from services.turns.breaker import ProviderBreaker
from services.turns.gate import TurnGate
from services.turns.window import RateGate
from tests.support.fault_server import NO_PICTURE_BYTES, PICTURE, FaultServer, fault_server
from tests.support.openai_sim_calls import wait_until
from tests.support.payloads import b2b, encode
from worker.execution import pipeline
from worker.execution.clock import TaskClock
from worker.execution.pipeline import Pipeline

TASK_LIMIT_SECONDS = 300.0
DRIPPING_TASKS = 30

AT_ONCE_SECONDS = 25.0
"""On a busy machine; the dripping downloads would take 30 s."""


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorClient]:
    with running_simulator() as client:
        yield client


@contextmanager
def live_server() -> Iterator[FaultServer]:
    """The fault server in a thread of its own; whatever it is doing ends with the block."""
    servers: Future[FaultServer] = Future()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with fault_server() as server:
            servers.set_result(server)
            await stop.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, name="hosts")
    thread.start()
    try:
        yield servers.result()
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with live_server() as live:
        yield live


@pytest.fixture
def stopping() -> threading.Event:
    return threading.Event()


@pytest.fixture
def made(
    redis_server: LocalRedis, simulator: SimulatorClient, stopping: threading.Event
) -> Iterator[Callable[..., Pipeline]]:
    """Makes pipelines with the real provider client."""
    redis_server.start()
    simulator.reset()
    with connect(redis_server.url) as store:
        store.flushall()
        yield lambda **options: Pipeline(
            TrustedHosts.parse("127.0.0.1"),
            ImageClient(
                OpenAIImages(simulator.base_url, "sk-test-0123456789"),
                models=parse_models("gpt-image-1.5"),
                max_retries=0,
                turns=TurnGate(RateGate(store, turns_per_window=1_000), ProviderBreaker(store)),
                cancelled=stopping.is_set,
            ),
            stopping.is_set,
            **options,
        )


def task_for(server: FaultServer, *paths: str, owner: UUID | None = None) -> GenerationTask:
    """A task of a store with these pictures."""
    element = b2b(
        image_urls=[server.url(path) for path in paths],
        prompt="[[sim:latency=0.1]] wear it",
        store_id=str(owner or uuid4()),
    )
    return TASK_CONTRACT.validate_json(encode(element))


def make(pipe: Pipeline, task: GenerationTask, clock: TaskClock | None = None) -> GeneratedImage:
    """One task in an event loop of its own, as in a thread of the pool."""
    clock = clock or TaskClock(TASK_LIMIT_SECONDS)
    with asyncio.Runner() as runner:
        return runner.run(pipe.make_image(task, clock, lambda: True, StageTimes()))


def pictures_in_memory() -> int:
    """How many downloaded pictures somebody in this process still holds."""
    gc.collect()
    return sum(isinstance(each, DownloadedImage) for each in gc.get_objects())


def nothing_is_held(pipe: Pipeline) -> bool:
    """Whether all memory was given back."""
    return pipe._memory._held_bytes == 0


def test_thirty_tasks_of_a_shop_whose_host_drips_hold_up_no_task_of_another(
    made: Callable[[], Pipeline], server: FaultServer
) -> None:
    pipe, shop = made(), uuid4()
    with ThreadPoolExecutor(DRIPPING_TASKS + 1) as threads:
        with live_server() as dripping_host:
            dripping = [
                threads.submit(make, pipe, task_for(dripping_host, "/honest", "/drips", owner=shop))
                for _ in range(DRIPPING_TASKS)
            ]
            wait_until(lambda: sum(b"/drips" in head for head in dripping_host.heads) == DRIPPING_TASKS)
            good = threads.submit(make, pipe, task_for(server, "/honest", "/honest"))
            assert good.result(AT_ONCE_SECONDS).jpeg.startswith(b"\xff\xd8")
            assert not any(task.done() for task in dripping)
        assert {type(task.exception()) for task in dripping} == {ImageUnreachable}
    assert nothing_is_held(pipe)


def test_pictures_are_prepared_at_once_and_reach_the_provider_in_order(
    made: Callable[[], Pipeline], server: FaultServer, simulator: SimulatorClient
) -> None:
    pipe = made()
    make(pipe, task_for(server, "/honest", "/media_type_with_parameters", "/no_length"))
    assert nothing_is_held(pipe)


def test_each_stage_of_the_inputs_has_one_line_however_many_pictures_there_are(
    made: Callable[[], Pipeline], server: FaultServer
) -> None:
    with capture_logs() as lines:
        make(made(), task_for(server, "/honest", "/media_type_with_parameters", "/no_length"))
    stages = [line for line in lines if line["event"].startswith("images_")]
    assert [(line["event"], line["count"]) for line in stages] == [("images_downloaded", 3), ("images_prepared", 3)]
    assert stages[0]["size_bytes"] == 3 * len(PICTURE)
    assert all(line["seconds"] >= 0 and line["log_level"] == "info" for line in stages)


def test_the_stage_in_which_a_task_failed_is_timed_and_no_later_one(
    made: Callable[[], Pipeline], server: FaultServer
) -> None:
    times = StageTimes()
    with pytest.raises(ImageUnreachable), asyncio.Runner() as runner:
        runner.run(
            made().make_image(
                task_for(server, "/honest", "/not_found"), TaskClock(TASK_LIMIT_SECONDS), lambda: True, times
            )
        )
    assert set(times.seconds) == {Stage.DOWNLOAD}


def test_the_first_failure_is_raised_itself_and_ends_the_other_downloads(
    made: Callable[[], Pipeline], server: FaultServer
) -> None:
    pipe = made()
    with ThreadPoolExecutor(1) as thread:
        failing = thread.submit(make, pipe, task_for(server, "/silent", "/drips", "/not_found"))
        failure = failing.exception(AT_ONCE_SECONDS)
    assert isinstance(failure, ImageUnreachable)
    assert failure.status == 404
    assert nothing_is_held(pipe)


@pytest.mark.parametrize("path", ["/no_picture", "/sends_without_end"])
def test_a_failure_does_not_keep_the_pictures_in_memory_while_it_is_settled(
    path: str, made: Callable[[], Pipeline], server: FaultServer
) -> None:
    with pytest.raises(Failure) as caught:
        make(made(), task_for(server, path))
    kept: list[object] = []
    error: BaseException | None = caught.value
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            kept += frame.f_locals.values()
        error = error.__cause__ or error.__context__
    assert not [value for value in kept if isinstance(value, bytes) and len(value) >= NO_PICTURE_BYTES]
    assert not [value for value in kept if hasattr(value, "getbuffer")]


def test_what_a_picture_holds_is_given_back_when_it_is_prepared_and_not_when_the_task_ends(
    made: Callable[[], Pipeline], server: FaultServer
) -> None:
    pipe = made()
    with ThreadPoolExecutor(1) as thread, live_server() as host:
        task = thread.submit(make, pipe, task_for(host, "/honest", "/silent"))
        wait_until(lambda: any(b"/silent" in head for head in host.heads))
        wait_until(lambda: bool(pipe._preparers._threads) and nothing_is_held(pipe))
        assert not task.done()


@contextmanager
def memory_taken(pipe: Pipeline) -> Iterator[None]:
    """All input memory, held by others."""
    size = MAX_DOWNLOAD_BYTES

    async def take(held: ExitStack) -> None:
        while pipeline.INPUT_MEMORY_BYTES - pipe._memory._held_bytes >= size:
            await held.enter_context(pipe._memory.holding(uuid4())).hold(size, size)
        left = pipeline.INPUT_MEMORY_BYTES - pipe._memory._held_bytes
        await held.enter_context(pipe._memory.holding(uuid4())).hold(left, left)

    with ExitStack() as held:
        asyncio.run(take(held))
        yield


def test_a_task_that_waits_for_memory_does_not_use_up_its_time(
    made: Callable[[], Pipeline], server: FaultServer
) -> None:
    pipe, seconds = made(), [0.0]
    clock = TaskClock(TASK_LIMIT_SECONDS, now=lambda: seconds[0])
    with ThreadPoolExecutor(1) as thread:
        with memory_taken(pipe):
            task = thread.submit(make, pipe, task_for(server, "/honest", "/honest"), clock)
            wait_until(lambda: len(pipe._memory._waiting) == 2)
            seconds[0] += 2 * TASK_LIMIT_SECONDS
        task.result(AT_ONCE_SECONDS)
    assert clock.remaining_seconds() == TASK_LIMIT_SECONDS


def test_a_task_that_waits_for_memory_is_given_up_when_the_process_shuts_down(
    made: Callable[[], Pipeline], server: FaultServer, stopping: threading.Event
) -> None:
    pipe = made()
    with ThreadPoolExecutor(1) as thread, memory_taken(pipe):
        task = thread.submit(make, pipe, task_for(server, "/honest"))
        wait_until(lambda: len(pipe._memory._waiting) == 1)
        stopping.set()
        assert isinstance(task.exception(AT_ONCE_SECONDS), ShuttingDown)


def test_a_failed_tasks_pictures_that_wait_for_preparation_are_dropped_with_it(
    made: Callable[..., Pipeline], server: FaultServer
) -> None:
    pipe, busy, free, before = made(preparing_threads=1), threading.Event(), threading.Event(), pictures_in_memory()
    pipe._preparers.submit(busy.set)
    pipe._preparers.submit(free.wait)
    assert busy.wait(AT_ONCE_SECONDS)
    wait_until(pipe._preparers._work_queue.empty)
    try:
        with ThreadPoolExecutor(1) as thread:
            with live_server() as host:
                task = thread.submit(make, pipe, task_for(host, "/honest", "/silent"))
                wait_until(lambda: pipe._preparers._work_queue.qsize() == 1)
                assert not nothing_is_held(pipe)
                assert pictures_in_memory() == before + 1
            assert isinstance(task.exception(AT_ONCE_SECONDS), ImageUnreachable)
        assert nothing_is_held(pipe)
        assert pipe._preparers._work_queue.qsize() == 1, "the preparation itself still waits"
        assert pictures_in_memory() == before
    finally:
        free.set()
