"""Download, prepare, edit: from a task's links to a finished picture. Knows neither Celery nor the database."""

import asyncio
from typing import Final

import structlog

from models.failures import DeadlineExceeded
from models.generation import GeneratedImage
from models.task_payload import GenerationTask
from services.image_download import download_images
from services.image_processor import PreparedImage, prepare_image
from services.openai_client import OpenAIImageClient
from services.url_guard import TrustedHosts
from worker.routing import safety_identifier
from worker.task_clock import TaskClock

log = structlog.get_logger()

MAX_SIDE_PX: Final = 1024
"""FR-1.4."""


class Pipeline:
    """Makes pictures. One object per process; safe to share between threads."""

    def __init__(self, trusted_hosts: TrustedHosts, provider: OpenAIImageClient) -> None:
        self._trusted_hosts = trusted_hosts
        self._provider = provider

    async def make_image(self, task: GenerationTask, clock: TaskClock) -> GeneratedImage:
        """Make the picture a task asks for, within the time the clock leaves.

        Raises:
            Failure: the inputs, the provider or the time did not allow it.
            TurnCancelled: the process is shutting down and the provider has not been called yet.
        """
        try:
            async with asyncio.timeout(clock.remaining_seconds()):
                downloaded = await download_images(task.image_urls, trusted_hosts=self._trusted_hosts)
        except TimeoutError:
            raise DeadlineExceeded(clock.limit_seconds) from None
        log.info("images_downloaded", count=len(downloaded), size_bytes=sum(len(image.data) for image in downloaded))

        prepared: list[PreparedImage] = []
        while downloaded:
            prepared.append(prepare_image(downloaded.pop(0).data, max_side_px=MAX_SIDE_PX))
        person = prepared[0]
        log.info("images_prepared", size_bytes=sum(len(image.jpeg) for image in prepared))

        return await self._provider.edit(
            images=[image.jpeg for image in prepared],
            person_size=(person.width, person.height),
            prompt=task.prompt,
            safety_identifier=safety_identifier(task),
            clock=clock,
        )
