"""Download, prepare, edit: from a task's links to a finished picture. Knows neither Celery nor the database."""

import asyncio
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Final

import structlog

from models.failures import DeadlineExceeded
from models.generation import GeneratedImage
from models.task_payload import GenerationTask
from services.byte_budget import ByteBudget
from services.fetching.image_download import MAX_DOWNLOAD_BYTES, download_image
from services.fetching.url_guard import TrustedHosts
from services.images.processor import PreparedImage, prepare_image
from services.providers.client import OpenAIImageClient
from worker.execution.clock import TaskClock
from worker.execution.routing import safety_identifier

log = structlog.get_logger()

MAX_SIDE_PX: Final = 1024
"""FR-1.4."""

INPUT_MEMORY_BYTES: Final = 192 * 1024 * 1024
"""What all inputs together may hold between their first byte and the prepared picture: twenty tasks with two
photographs of 4 MB each. At 300 tasks a minute and a second each, five are enough; 200 tasks given back by a dead
worker would bring 1.6 GB at once, and 150 tasks with ten pictures of 10 MB each 15 GB."""

PREPARING_THREADS: Final = 16
"""More than decode at a time (``services/images/processor.py``), so that small pictures find a thread while large ones
wait for each other."""


class Pipeline:
    """Makes pictures. One object per process; safe to share between threads."""

    def __init__(
        self,
        trusted_hosts: TrustedHosts,
        provider: OpenAIImageClient,
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
        self, task: GenerationTask, clock: TaskClock, still_wanted: Callable[[], bool]
    ) -> GeneratedImage:
        """Make the picture a task asks for, within the time the clock leaves.

        Args:
            task: what to make.
            clock: the task's time; waiting for memory or a turn does not count.
            still_wanted: asked after a long wait for the turn; it may block.

        Raises:
            Failure: the inputs, the provider or the time did not allow it.
            ShuttingDown: the process is shutting down and the provider has not been called yet.
        """
        prepared = await self._prepared_inputs(task, clock)
        person = prepared[0]
        return await self._provider.edit(
            images=[image.jpeg for image in prepared],
            person_size=(person.width, person.height),
            prompt=task.prompt,
            safety_identifier=safety_identifier(task),
            clock=clock,
            still_wanted=still_wanted,
        )

    async def _prepared_inputs(self, task: GenerationTask, clock: TaskClock) -> list[PreparedImage]:
        """All pictures at once; the first failure ends the others and is raised by itself."""
        time = _InputTime(clock)
        try:
            async with time.limit, asyncio.TaskGroup() as group:
                inputs = [group.create_task(self._prepared_input(url, task, time)) for url in task.image_urls]
        except TimeoutError:
            raise DeadlineExceeded(clock.limit_seconds) from None
        except ExceptionGroup as failures:
            failure = failures.exceptions[0]
            _forget_pictures(failure)
            raise failure from None
        prepared = [done.result() for done in inputs]
        log.info("images_prepared", count=len(prepared), size_bytes=sum(len(image.jpeg) for image in prepared))
        return prepared

    async def _prepared_input(self, url: str, task: GenerationTask, time: "_InputTime") -> PreparedImage:
        """Download and prepare one picture. Its bytes are held until nobody needs them, even when the task fails."""
        with ExitStack() as held:
            memory = held.enter_context(
                self._memory.holding(task.owner_id, cancelled=self._cancelled, while_waiting=time.standing_still)
            )
            downloaded = [await download_image(url, trusted_hosts=self._trusted_hosts, memory=memory)]
            log.info("image_downloaded", size_bytes=len(downloaded[0].data))
            # The list is emptied by whoever takes the picture, so that a cancelled preparation leaves it nowhere.
            preparation = self._preparers.submit(lambda: prepare_image(downloaded.pop().data, max_side_px=MAX_SIDE_PX))
            give_back = held.pop_all().close

        def over(_: object) -> None:
            downloaded.clear()
            give_back()

        preparation.add_done_callback(over)
        return await asyncio.wrap_future(preparation)


class _InputTime:
    """What is left of the task's time for its inputs; stands still while one of them waits for memory."""

    def __init__(self, clock: TaskClock) -> None:
        self.limit = asyncio.timeout(clock.remaining_seconds())
        self._clock = clock
        self._waiting = 0
        self._pause = ExitStack()

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """For one of them to wait in."""
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
        if not self.limit.expired():  # then it is too late: the inputs are being cancelled
            self.limit.reschedule(None if seconds is None else asyncio.get_running_loop().time() + seconds)


def _forget_pictures(error: BaseException | None) -> None:
    """Traceback frames hold the pictures for as long as the failure is settled, which may be long (Supabase away)."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
