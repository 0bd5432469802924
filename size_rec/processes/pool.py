"""Runs the measuring beside the event loop: a few processes, a thread that looks after each, and a bound on the queue.

Processes and not threads: Python's part of a photograph's work would keep the others' waiting, and a fault of a native
library takes nothing with it (ADR 0106). They run at a lower priority, so that /health and the pipeline in the same
container get the processor first.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final

import structlog

from size_rec.problems import ModelUnavailable, Overloaded
from size_rec.processes.fork_server import ForkServer
from size_rec.processes.handle import Measurer
from size_rec.processes.link import Question
from size_rec.vocabulary import MeasurerGone, SizeAdvice

PROCESSES: Final = 2
"""One for each of the container's processors (ADR-2). A third one brings nothing."""

MAX_MEASURING: Final = 32
"""Photographs waiting or being measured at a time. 30 waiting ones take less than the 3 s of NFR-1.2; a longer queue
would only produce answers nobody waits for."""

FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 60.0
"""Between two tries to start a process that does not become ready."""

LOOK_SECONDS: Final = 0.5
"""How often an idle process is looked at: whether it is still there, and whether it is to be closed."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Job:
    """A photograph to be measured; ``question`` is gone when nobody waits for the answer any more."""

    question: Question | None
    answer: Future[SizeAdvice] = field(default_factory=Future)


class BodyEstimator:
    """Measures pictures; ``loaded`` tells whether it can. Start it once with :meth:`start`, end with :meth:`close`.

    :meth:`refuse_unless_free`, :meth:`place` and :meth:`measure` belong to one event loop; the other methods may be
    called from anywhere.

    Args:
        processes: how many measure at a time.
        max_measuring: photographs waiting or being measured at a time.
        look_seconds: how often an idle process is looked at; other values in tests only.
        start_measurer: starts a process, forked from the server it is given; replaced in tests.
    """

    name = "measure"

    def __init__(
        self,
        *,
        processes: int = PROCESSES,
        max_measuring: int = MAX_MEASURING,
        look_seconds: float = LOOK_SECONDS,
        start_measurer: Callable[[ForkServer], Measurer] = Measurer,
    ) -> None:
        self._max_measuring = max_measuring
        self._measuring = 0
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._closed = threading.Event()
        self._changed = threading.Condition()
        self._on_change: Callable[[bool], None] = lambda _: None
        self._server = ForkServer()
        self._keepers = [
            _Keeper(partial(start_measurer, self._server), self._jobs, self._closed, self._changed_state, look_seconds)
            for _ in range(processes)
        ]

    @property
    def loaded(self) -> bool:
        """Whether a process is ready to measure."""
        return any(keeper.ready for keeper in self._keepers) and not self._closed.is_set()

    @property
    def pids(self) -> list[int]:
        """The processes that are ready."""
        return [keeper.measurer.pid for keeper in self._keepers if keeper.ready and keeper.measurer]

    def start(self, on_change: Callable[[bool], None] = lambda _: None) -> None:
        """Begin to start the processes; ``on_change`` is told from now on whether one of them is ready."""
        self._on_change = on_change
        for keeper in self._keepers:
            keeper.start()

    def is_alive(self) -> bool:
        """Whether every thread that keeps a process at work still runs; they end only at :meth:`close`."""
        return all(keeper.is_alive() for keeper in self._keepers)

    def wait_until_loaded(self, timeout_seconds: float) -> None:
        """Block until all processes are ready; :meth:`start` comes first.

        Raises:
            TimeoutError: not within ``timeout_seconds``.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: all(keeper.ready for keeper in self._keepers), timeout_seconds):
                raise TimeoutError("the measuring processes did not become ready")

    def refuse_unless_free(self) -> None:
        """Refuse what could not be measured now, before anything is fetched for it.

        Raises:
            ModelUnavailable: no process is ready.
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

    async def measure(self, question: Question) -> SizeAdvice:
        """Have a photograph decoded and measured.

        A caller that gives up while waiting leaves nothing behind; one that gives up later leaves its photograph until
        the process is done with it, so at most one for each process.

        Raises:
            ModelUnavailable: no process is ready, or it is closed.
            MeasurerGone: the process ended over this photograph; another one is being started.
            NotAnImage, IncompletePicture, ImageTooLarge, PictureRefused, MeasuringFailed: as
                :meth:`size_rec.processes.handle.Measurer.measure`.
        """
        if not self.loaded:
            raise ModelUnavailable
        job = _Job(question)
        self._jobs.put(job)
        if self._closed.is_set():
            self._turn_away_waiting_jobs()
        try:
            return await asyncio.wrap_future(job.answer)
        finally:
            # The queue keeps what was given up until a process is free, and a failure keeps this frame.
            job.question = None
            del question, job

    def close(self) -> None:
        """Stop taking work and let what runs finish."""
        self._closed.set()
        self._turn_away_waiting_jobs()
        for keeper in self._keepers:
            keeper.stop()
        for keeper in self._keepers:
            keeper.join()
        self._server.close()

    def _turn_away_waiting_jobs(self) -> None:
        with suppress(Empty):
            while True:
                answer = self._jobs.get_nowait().answer
                if answer.set_running_or_notify_cancel():
                    answer.set_exception(ModelUnavailable())

    def _changed_state(self) -> None:
        with self._changed:
            self._on_change(self.loaded)
            self._changed.notify_all()


class _Keeper:
    """Keeps one measuring process running and hands it one job after the other."""

    def __init__(
        self,
        start_measurer: Callable[[], Measurer],
        jobs: SimpleQueue[_Job],
        closed: threading.Event,
        changed_state: Callable[[], None],
        look_seconds: float,
    ) -> None:
        self.measurer: Measurer | None = None
        self.ready = False
        self._start_measurer = start_measurer
        self._jobs = jobs
        self._closed = closed
        self._changed_state = changed_state
        self._look_seconds = look_seconds
        self._thread = threading.Thread(target=self._run, name="measure", daemon=True)

    def start(self) -> None:
        """Start the process, and again whenever it ends."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Let the process finish what it has begun; what is not ready yet is killed. ``closed`` is set already."""
        if self.measurer and not self.ready:
            self.measurer.kill()

    def join(self) -> None:
        """Block until the process is gone; :meth:`stop` comes first."""
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        pause_seconds = FIRST_PAUSE_SECONDS
        while not self._closed.is_set():
            if measurer := self._started():
                self._hand_out_jobs(measurer)
                pause_seconds = FIRST_PAUSE_SECONDS
            else:
                self._closed.wait(pause_seconds)
                pause_seconds = next_pause_seconds(pause_seconds)

    def _started(self) -> Measurer | None:
        """A process that is ready, or ``None``."""
        started = time.monotonic()
        try:
            self.measurer = measurer = self._start_measurer()
            if self._closed.is_set():
                measurer.kill()
            measurer.wait_until_ready()
        except Exception as failure:  # whatever it is: this thread has to try again
            if self.measurer:
                self.measurer.kill()
                self.measurer.end()
            if not self._closed.is_set():
                log.error("size_model_failed", error=str(failure) or repr(failure))
            return None
        log.info("size_model_loaded", pid=measurer.pid, seconds=round(time.monotonic() - started, 2))
        self._set_ready(ready=True)
        return measurer

    def _hand_out_jobs(self, measurer: Measurer) -> None:
        """Until the process is gone, or there is nothing more to do."""
        try:
            while not self._closed.is_set() and not measurer.has_ended:
                with suppress(Empty):
                    self._run_job(self._jobs.get(timeout=self._look_seconds), measurer)
        except MeasurerGone as gone:
            log.error("measuring_process_ended", pid=measurer.pid, reason=str(gone))
        else:
            if not self._closed.is_set():
                log.error("measuring_process_ended", pid=measurer.pid, reason=f"exit code {measurer.end()}")
        finally:
            self._set_ready(ready=False)
            measurer.end()

    def _run_job(self, job: _Job, measurer: Measurer) -> None:
        """Answer a job, if somebody still waits.

        Raises:
            MeasurerGone: the process is of no more use. The job is answered, or back in the queue when the process was
                gone before.
        """
        if measurer.has_ended:
            self._jobs.put(job)
            raise MeasurerGone(measurer.end())
        question = job.question
        if question is None or not job.answer.set_running_or_notify_cancel():
            return
        try:
            job.answer.set_result(measurer.measure(question))
        except MeasurerGone as gone:
            self._set_ready(ready=False)  # before the caller learns of it and comes back
            job.answer.set_exception(MeasurerGone(gone.exit_code))
            raise
        except Exception as failure:
            # Without its traceback, whose frames would keep the photograph.
            job.answer.set_exception(failure.with_traceback(None))

    def _set_ready(self, *, ready: bool) -> None:
        if self.ready != ready:
            self.ready = ready
            self._changed_state()


def next_pause_seconds(pause_seconds: float) -> float:
    """The pause after the next try that fails: twice as long as the one before, up to the longest."""
    return min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
