"""Download, prepare, edit: from a task's links to a finished picture. Knows neither Celery nor the database."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import structlog

from models.failures import DeadlineExceeded
from models.generation import GeneratedImage
from models.task_payload import GenerationTask
from services.image_download import download_images
from services.image_processor import PreparedImage, prepare_image
from services.openai_client import OpenAIImageClient
from services.turn_waiting import FairLock
from services.url_guard import TrustedHosts
from worker.routing import safety_identifier
from worker.task_clock import TaskClock

log = structlog.get_logger()

MAX_SIDE_PX: Final = 1024
"""FR-1.4."""

TASKS_WITH_INPUTS_IN_MEMORY: Final = 24
"""Tasks that download and prepare at once. Two photographs of 4 MB each make this some 200 MB; 200 tasks given back
by a dead worker would bring 1.6 GB at once. At 300 tasks a minute and a second each, five are enough."""


class Pipeline:
    """Makes pictures. One object per process; safe to share between threads."""

    def __init__(self, trusted_hosts: TrustedHosts, provider: OpenAIImageClient, cancelled: Callable[[], bool]) -> None:
        self._trusted_hosts = trusted_hosts
        self._provider = provider
        self._cancelled = cancelled
        self._input_slots = FairLock(TASKS_WITH_INPUTS_IN_MEMORY)

    async def make_image(
        self, task: GenerationTask, clock: TaskClock, still_wanted: Callable[[], bool]
    ) -> GeneratedImage:
        """Make the picture a task asks for, within the time the clock leaves.

        Args:
            task: what to make.
            clock: the task's time; waiting for a slot or a turn does not count.
            still_wanted: asked after a long wait for the turn; it may block.

        Raises:
            Failure: the inputs, the provider or the time did not allow it.
            TurnCancelled: the process is shutting down and the provider has not been called yet.
        """
        with self._input_slot(clock):
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
        try:
            async with asyncio.timeout(clock.remaining_seconds()):
                downloaded = await download_images(task.image_urls, trusted_hosts=self._trusted_hosts)
        except TimeoutError:
            raise DeadlineExceeded(clock.limit_seconds) from None
        log.info("images_downloaded", count=len(downloaded), size_bytes=sum(len(image.data) for image in downloaded))
        prepared = []
        while downloaded:
            prepared.append(prepare_image(downloaded.pop(0).data, max_side_px=MAX_SIDE_PX))
        log.info("images_prepared", size_bytes=sum(len(image.jpeg) for image in prepared))
        return prepared

    @contextmanager
    def _input_slot(self, clock: TaskClock) -> Iterator[None]:
        with ExitStack() as slot:
            with clock.paused():
                slot.enter_context(self._input_slots.held(self._cancelled))
            yield
