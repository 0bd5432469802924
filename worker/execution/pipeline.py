"""Download, prepare, edit: from a task's links to a finished picture. Knows neither Celery nor the database."""

import asyncio
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Final, Self

import structlog

from models.failures import DeadlineExceeded
from models.generation import GeneratedImage
from models.stages import Stage, StageTimes
from models.task_payload import GenerationTask
from services.byte_budget import ByteBudget
from services.fetching.image_download import MAX_DOWNLOAD_BYTES, download_image
from services.fetching.url_guard import TrustedHosts
from services.images.processor import PreparedImage, prepare_image
from services.providers.client import ImageClient
from worker.execution.clock import TaskClock
from worker.execution.routing import safety_identifier

log = structlog.get_logger()

MAX_SIDE_PX: Final = 1024
"""FR-1.4."""

INPUT_MEMORY_BYTES: Final = 192 * 1024 * 1024
"""Budget for all inputs of the process, from a picture's first byte until it is prepared: enough for twenty tasks with
two photographs of 4 MB each. At 300 tasks a minute that take a second each, five are in this stage. Without a budget,
200 tasks given back by a dead worker could hold 1.6 GB, and 150 tasks with ten pictures of 10 MB each 15 GB."""

PREPARING_THREADS: Final = 16
"""More threads than pictures may be decoded at the same time (``services/images/processor.py``): large pictures wait
there for each other, and small ones still find a thread."""


class Pipeline:
    """Makes pictures. One object per process; safe to share between threads."""

    def __init__(
        self,
        trusted_hosts: TrustedHosts,
        provider: ImageClient,
        cancelled: Callable[[], bool],
        *,
        preparing_threads: int = PREPARING_THREADS,
    ) -> None:
        self._trusted_hosts = trusted_hosts
        self._provider = provider
        self._cancelled = cancelled
        self._memory = ByteBudget(INPUT_MEMORY_BYTES, largest_bytes=MAX_DOWNLOAD_BYTES)
        self._preparers = ThreadPoolExecutor(preparing_threads, thread_name_prefix="prepare")

    async def make_image(
        self, task: GenerationTask, clock: TaskClock, still_wanted: Callable[[], bool], times: StageTimes
    ) -> GeneratedImage:
        """Make the picture a task asks for, within the time the clock leaves.

        Args:
            task: what to make.
            clock: the task's deadline; it is paused while the task waits for memory or for a turn.
            still_wanted: asked after a long wait for the turn; it may block.
            times: what each stage took is entered here.

        Raises:
            Failure: the inputs, the provider or the time did not allow it.
            ShuttingDown: the process is shutting down and the provider has not been called yet.
        """
        prepared = await self._prepared_inputs(task, clock, _InputStages(len(task.image_urls), times))
        person = prepared[0]
        return await self._provider.edit(
            images=[image.jpeg for image in prepared],
            person_size=(person.width, person.height),
            prompt=task.prompt,
            safety_identifier=safety_identifier(task),
            clock=clock,
            still_wanted=still_wanted,
            times=times,
        )

    async def _prepared_inputs(
        self, task: GenerationTask, clock: TaskClock, stages: "_InputStages"
    ) -> list[PreparedImage]:
        """Prepare all pictures at the same time. The first failure cancels the others and is the one that is raised."""
        deadline = _InputDeadline(clock)
        try:
            with stages:
                return await self._all_prepared(task, deadline, stages)
        except TimeoutError:
            raise DeadlineExceeded(clock.limit_seconds) from None
        except ExceptionGroup as failures:
            failure = failures.exceptions[0]
            _release_memory_held_by(failure)
            raise failure from None

    async def _all_prepared(
        self, task: GenerationTask, deadline: "_InputDeadline", stages: "_InputStages"
    ) -> list[PreparedImage]:
        async with deadline.timeout, asyncio.TaskGroup() as group:
            inputs = [group.create_task(self._prepared_input(url, task, deadline, stages)) for url in task.image_urls]
        prepared = [done.result() for done in inputs]
        stages.are_prepared(sum(len(image.jpeg) for image in prepared))
        return prepared

    async def _prepared_input(
        self, url: str, task: GenerationTask, deadline: "_InputDeadline", stages: "_InputStages"
    ) -> PreparedImage:
        """Download and prepare one picture.

        Its bytes count against the budget until no thread needs them any more, also when the task has failed before.
        """
        with ExitStack() as held:
            memory = held.enter_context(
                self._memory.holding(task.owner_id, cancelled=self._cancelled, while_waiting=deadline.paused)
            )
            downloaded = [await download_image(url, trusted_hosts=self._trusted_hosts, memory=memory)]
            stages.has_come(len(downloaded[0].data))
            # A list, because whoever takes the picture empties it: a cancelled preparation keeps no reference.
            preparation = self._preparers.submit(lambda: prepare_image(downloaded.pop().data, max_side_px=MAX_SIDE_PX))
            give_back = held.pop_all().close

        def over(_: object) -> None:
            downloaded.clear()
            give_back()

        preparation.add_done_callback(over)
        return await asyncio.wrap_future(preparation)


class _InputStages:
    """Tells the stages of a task's inputs apart: one line in the log and one time for each, however many there are.

    A context manager around both stages: the one in which an input failed counts, too.
    """

    def __init__(self, image_count: int, times: StageTimes) -> None:
        self._image_count = image_count
        self._missing = image_count
        self._times = times
        self._size_bytes = 0
        self._stage: Stage | None = Stage.DOWNLOAD
        self._began_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stage is not None:
            self._end(next_stage=None)

    def has_come(self, size_bytes: int) -> None:
        """One picture was downloaded; with the last one the stage is over."""
        self._size_bytes += size_bytes
        self._missing -= 1
        if not self._missing:
            seconds = self._end(next_stage=Stage.PREPARE)
            log.info(
                "images_downloaded", count=self._image_count, size_bytes=self._size_bytes, seconds=round(seconds, 3)
            )

    def are_prepared(self, size_bytes: int) -> None:
        """All pictures are ready."""
        seconds = self._end(next_stage=None)
        log.info("images_prepared", count=self._image_count, size_bytes=size_bytes, seconds=round(seconds, 3))

    def _end(self, *, next_stage: Stage | None) -> float:
        now = time.monotonic()
        seconds, self._began_at = now - self._began_at, now
        if self._stage is not None:
            self._times.add(self._stage, seconds)
        self._stage = next_stage
        return seconds


class _InputDeadline:
    """The task's deadline, for its inputs; paused while at least one of them waits for memory."""

    def __init__(self, clock: TaskClock) -> None:
        self.timeout = asyncio.timeout(clock.remaining_seconds())
        self._clock = clock
        self._waiting = 0
        self._pause = ExitStack()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Pause the deadline while one input waits; several may wait at the same time."""
        if self._waiting == 0:
            self._pause.enter_context(self._clock.paused())
            self._end_after(None)
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if self._waiting == 0:
                self._pause.close()
                self._end_after(self._clock.remaining_seconds())

    def _end_after(self, seconds: float | None) -> None:
        if not self.timeout.expired():  # an expired one cannot be moved: the inputs are being cancelled
            self.timeout.reschedule(None if seconds is None else asyncio.get_running_loop().time() + seconds)


def _release_memory_held_by(error: BaseException | None) -> None:
    """Clear the frames of the traceback: their variables keep the pictures in memory until the failure is settled.

    Settling can take long, when Supabase is unreachable.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
