"""Runs the measuring beside the event loop: a few threads that share the pose model, and a bound on the queue.

Threads and not processes: LiteRT, Pillow and NumPy release the interpreter lock for nine tenths of the work, and a
second process would cost 150 MB. The threads run at a lower priority, so that /health and the pipeline in the same
container get the processor first.
"""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, NamedTuple

import structlog

from size_rec.body_model import BodyModel
from size_rec.measuring import Measured, measure_picture
from size_rec.mediapipe_service import PoseModel
from size_rec.model_file import load_body_model
from size_rec.picture import prepare_picture
from size_rec.problems import ModelUnavailable, Overloaded

COPIES: Final = 2
"""Of the pose model: one for each of the container's processors (ADR-2), which a picture keeps busy for 30 ms."""

THREADS: Final = 3
"""One more than copies: a photograph that takes long to decode keeps none of them waiting."""

MAX_MEASURING: Final = 32
"""Photographs waiting or being measured at a time. 30 waiting ones take less than the 3 s of NFR-1.2; a longer queue
would only produce answers nobody waits for."""

NICENESS: Final = 5
"""Below the event loop and the pipeline, above idle."""

log = structlog.get_logger()


class BodyEstimator:
    """Measures pictures; ``loaded`` tells whether it can. Start it once with :meth:`start`, end with :meth:`close`.

    :meth:`refuse_unless_free`, :meth:`place` and :meth:`measure` belong to one event loop; the other methods may be
    called from anywhere.
    """

    def __init__(self, *, threads: int = THREADS, copies: int = COPIES, max_measuring: int = MAX_MEASURING) -> None:
        self._copies = copies
        self._max_measuring = max_measuring
        self._measuring = 0
        self._closed = False
        self._models: _Models | None = None
        self._loading: Future[None] | None = None
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="measure", initializer=step_back)

    @property
    def loaded(self) -> bool:
        """Whether the models are loaded and warm."""
        return self._models is not None and not self._closed

    def start(self, on_loaded: Callable[[], None] = lambda: None) -> None:
        """Begin to load the models in the background; ``on_loaded`` is called once, when they are warm."""
        self._loading = self._pool.submit(self._load, on_loaded)

    def wait_until_loaded(self, timeout_seconds: float) -> None:
        """Block until the models are loaded; :meth:`start` comes first.

        Raises:
            TimeoutError: not within ``timeout_seconds``.
            ImportError, ValueError, RuntimeError: LiteRT, a network or the fitted model is missing or broken.
        """
        if self._loading is not None:
            self._loading.result(timeout_seconds)

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
            ModelUnavailable: the models are not loaded, or closed already.
            NotAnImage, ImageTooLarge: as :func:`size_rec.picture.prepare_picture`.
            PictureRefused: as :func:`size_rec.measuring.measure_picture`.
        """
        models = self._models
        if models is None or self._closed:
            raise ModelUnavailable
        waiting = [data]
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, _measure, waiting, models, height_cm, weight_kg)
        finally:
            waiting.clear()  # the pool keeps what was given up until a thread comes to it

    def close(self) -> None:
        """Stop taking work and let what runs finish."""
        self._closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _load(self, on_loaded: Callable[[], None]) -> None:
        started = time.monotonic()
        try:
            self._models = _Models(PoseModel(self._copies), load_body_model())
            log.info("size_model_loaded", copies=self._copies, seconds=round(time.monotonic() - started, 2))
            on_loaded()
        except Exception:
            log.exception("size_model_failed")
            raise


class _Models(NamedTuple):
    """What the threads share."""

    pose: PoseModel
    body: BodyModel


def _measure(waiting: list[bytes], models: _Models, height_cm: float, weight_kg: float | None) -> Measured:
    picture = prepare_picture(waiting.pop())
    return measure_picture(picture, models.pose, models.body, height_cm=height_cm, weight_kg=weight_kg)


def step_back() -> None:
    """Lower this thread's priority, unless it is lower already; Linux keeps one for each thread (setpriority(2))."""
    thread = threading.get_native_id()
    if sys.platform == "linux" and os.getpriority(os.PRIO_PROCESS, thread) < NICENESS:
        os.setpriority(os.PRIO_PROCESS, thread, NICENESS)
