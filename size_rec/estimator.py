"""Runs the measuring beside the event loop: a few threads, each with its own pose model, and a bound on the queue.

Threads and not processes: MediaPipe, Pillow and NumPy release the interpreter lock for nine tenths of the work, and a
second process would cost 150 MB. The threads (and the model's own, which inherit it) run at a lower priority, so that
/health and the pipeline in the same container get the processor first.
"""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import numpy as np
import structlog

from size_rec.measuring import Measured, measure_picture
from size_rec.mediapipe_service import PoseModel
from size_rec.model_file import load_body_model
from size_rec.picture import prepare_picture
from size_rec.problems import ModelUnavailable, Overloaded

WORKERS: Final = 2
"""The container's processors (ADR-2); one picture keeps about one busy for 50 ms."""

MAX_MEASURING: Final = 32
"""Photographs waiting or being measured at a time. 30 waiting ones take less than the 3 s of NFR-1.2; a longer queue
would only produce answers nobody waits for."""

NICENESS: Final = 5
"""Below the event loop and the pipeline, above idle."""

WARM_UP_SIDE_PX: Final = 256

log = structlog.get_logger()


class BodyEstimator:
    """Measures pictures; ``loaded`` tells whether it can. Start it once with :meth:`start`, end with :meth:`close`.

    :meth:`refuse_unless_free`, :meth:`place` and :meth:`measure` belong to one event loop; the other methods may be
    called from anywhere.
    """

    def __init__(self, *, workers: int = WORKERS, max_measuring: int = MAX_MEASURING) -> None:
        self._workers = workers
        self._max_measuring = max_measuring
        self._measuring = 0
        self._local = threading.local()
        self._pose_models: list[PoseModel] = []
        self._loading: list[Future[None]] = []
        self._loaded = threading.Event()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="measure")

    @property
    def loaded(self) -> bool:
        """Whether every thread has its model loaded and warm."""
        return self._loaded.is_set()

    def start(self, on_loaded: Callable[[], None] = lambda: None) -> None:
        """Begin to load the models in the background; ``on_loaded`` is called once, when all are warm."""
        started = time.monotonic()

        def all_loaded() -> None:
            self._loaded.set()
            log.info("size_model_loaded", workers=self._workers, seconds=round(time.monotonic() - started, 2))
            on_loaded()

        together = threading.Barrier(self._workers, action=all_loaded)
        self._loading = [self._pool.submit(self._load, together) for _ in range(self._workers)]

    def wait_until_loaded(self, timeout_seconds: float) -> None:
        """Block until the models are loaded.

        Raises:
            TimeoutError: not within ``timeout_seconds``.
            ModuleNotFoundError, ValueError: mediapipe or the fitted model is missing or broken.
        """
        for future in self._loading:
            future.result(timeout_seconds)

    def refuse_unless_free(self) -> None:
        """Refuse what could not be measured now, before anything is fetched for it.

        Raises:
            ModelUnavailable: the models are not loaded.
            Overloaded: all places are taken.
        """
        if not self.loaded:
            raise ModelUnavailable
        if self._measuring >= self._max_measuring:
            raise Overloaded

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among those that wait to be measured or are being measured.

        Raises:
            ModelUnavailable, Overloaded: as :meth:`refuse_unless_free`.
        """
        self.refuse_unless_free()
        self._measuring += 1
        try:
            yield
        finally:
            self._measuring -= 1

    async def measure(self, data: bytes, *, height_cm: float, weight_kg: float | None) -> Measured:
        """Decode and measure a photograph off the event loop.

        A caller that gives up while waiting leaves nothing behind; one that gives up later leaves its photograph until
        the thread is done with it, so at most one for each thread.

        Raises:
            NotAnImage, ImageTooLarge: as :func:`size_rec.picture.prepare_picture`.
            PictureRefused: as :func:`size_rec.measuring.measure_picture`.
        """
        waiting = [data]
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, self._measure, waiting, height_cm, weight_kg)
        finally:
            waiting.clear()  # the pool keeps what was given up until a thread comes to it

    def close(self) -> None:
        """Stop taking work, let what runs finish, and free the models."""
        self._loaded.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)
        for model in self._pose_models:
            model.close()

    def _load(self, together: threading.Barrier) -> None:
        try:
            step_back()
            pose_model = PoseModel()
            pose_model.find(np.zeros((WARM_UP_SIDE_PX, WARM_UP_SIDE_PX, 3), dtype=np.uint8))
            self._local.pose_model, self._local.body_model = pose_model, load_body_model()
            self._pose_models.append(pose_model)
        except Exception:
            log.exception("size_model_failed")
            together.abort()
            raise
        together.wait()

    def _measure(self, waiting: list[bytes], height_cm: float, weight_kg: float | None) -> Measured:
        return measure_picture(
            prepare_picture(waiting.pop()),
            self._local.pose_model,
            self._local.body_model,
            height_cm=height_cm,
            weight_kg=weight_kg,
        )


def step_back() -> None:
    """Lower this thread's priority; Linux keeps one for each thread, and new threads inherit it (setpriority(2))."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
