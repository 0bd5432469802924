"""The processes that measure: whatever becomes of one of them, the next photograph is answered."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import pytest
import structlog
from PIL import Image

from models.failures import NotAnImage
from services.images import processor as image_processor
from size_rec.problems import ModelUnavailable
from size_rec.processes import handle as measurer_module
from size_rec.processes.fork_server import MALLOC, ForkServer
from size_rec.processes.handle import Measurer
from size_rec.processes.link import MeasuringFailed, Question
from size_rec.processes.pool import PROCESSES, BodyEstimator
from size_rec.processes.process import NICENESS
from size_rec.vocabulary import MeasurerGone, SizeAdvice
from tests.support.size_photos import as_bytes, photo, photo_host
from tests.support.size_service import LOAD_TIMEOUT_SECONDS, PATIENT_SECONDS, app_with, ask, loaded_estimator
from tests.support.worker import wait_until

UNSEEN_SECONDS = 5.0
"""Longer than a photograph takes. Closing waits as long, because the thread that looks is asked no sooner."""

STANDING = Question(photo("b0001.jpg"), 176.2, None)
HUGE_LOSSLESS_PX = (7_000, 5_000)
"""More than LARGE_DECODE_BYTES when decoded; in one colour, so that the file is small."""

ENDS_WITHOUT_CLOSING = """
import os, sys
from size_rec.processes.fork_server import ForkServer
from size_rec.processes.handle import Measurer
measurer = Measurer(ForkServer())
measurer.wait_until_ready()
print(measurer.pid, flush=True)
os.kill(os.getpid(), 9)
"""


FALLS_SILENT = """
import os, socket, time
_, descriptors, _, _ = socket.recv_fds(socket.socket(fileno=int(os.environ["WEARON_LINK_FD"])), 4, 2)
os.write(descriptors[0], bytes(2))
time.sleep(600)
"""


@pytest.fixture
def server() -> Iterator[ForkServer]:
    started = ForkServer()
    try:
        yield started
    finally:
        started.close()


@contextmanager
def ready_measurer(server: ForkServer, **limits: int) -> Iterator[Measurer]:
    started = Measurer(server, **limits)
    try:
        started.wait_until_ready()
        yield started
    finally:
        started.kill()
        started.end()


@pytest.fixture
def measurer(server: ForkServer) -> Iterator[Measurer]:
    with ready_measurer(server) as started:
        yield started


def measure(estimator: BodyEstimator) -> SizeAdvice:
    return asyncio.run(estimator.measure(STANDING))


def the_measurer(estimator: BodyEstimator) -> Measurer:
    """The only process."""
    measurer = estimator._keepers[0].measurer
    assert measurer is not None
    return measurer


def told_when_asked(estimator: BodyEstimator, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set as soon as the only process has a photo in its hands."""
    asked, measurer = threading.Event(), the_measurer(estimator)
    ask_measurer = measurer.measure

    def tell_and_measure(question: Question) -> SizeAdvice:
        asked.set()
        return ask_measurer(question)

    monkeypatch.setattr(measurer, "measure", tell_and_measure)
    return asked


def huge_picture() -> bytes:
    return as_bytes(Image.new("L", HUGE_LOSSLESS_PX, 128))


def test_all_processes_measure_at_a_lower_priority_than_the_pipeline(estimator: BodyEstimator) -> None:
    assert len(set(estimator.pids)) == PROCESSES
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in estimator.pids} == {min(ours + NICENESS, 19)}


def test_every_process_gives_the_same_answer(estimator: BodyEstimator) -> None:
    with ThreadPoolExecutor(4) as callers:
        answers = {str(answer) for answer in callers.map(lambda _: measure(estimator), range(12))}
    assert len(answers) == 1


def test_a_photo_whose_process_is_killed_is_503_and_the_next_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        photo_host({}) as host,
        structlog.testing.capture_logs() as lines,
        loaded_estimator(processes=1) as alone,
        ThreadPoolExecutor(1) as caller,
    ):
        app = app_with(alone, deadline_seconds=PATIENT_SECONDS)
        asked = {"image_url": f"{host}/b0001.jpg", "height_cm": 176.2}
        [first] = alone.pids
        psutil.Process(first).suspend()
        in_hand = told_when_asked(alone, monkeypatch)
        measuring = caller.submit(ask, app, asked)
        assert in_hand.wait(PATIENT_SECONDS)
        os.kill(first, signal.SIGKILL)
        killed = measuring.result(PATIENT_SECONDS)
        alone.wait_until_loaded(LOAD_TIMEOUT_SECONDS)
        answered = ask(app, asked)
        assert alone.pids != [first]
    assert (killed.status_code, killed.json()["code"]) == (503, "model_unavailable")
    assert killed.headers["retry-after"]
    assert answered.status_code == 200
    told = {line["event"]: line for line in lines}
    assert told["measuring_process_ended"]["reason"] == "exit code -9"
    assert "exit code -9" in told["size_estimate_refused"]["reason"]


def test_health_follows_a_process_that_dies_while_it_has_nothing_to_do() -> None:
    changes: list[bool] = []
    estimator = BodyEstimator(processes=1)
    estimator.start(on_change=changes.append)
    try:
        estimator.wait_until_loaded(LOAD_TIMEOUT_SECONDS)
        os.kill(estimator.pids[0], signal.SIGKILL)
        wait_until(lambda: len(changes) == 3, "gone, and ready again")
        assert isinstance(measure(estimator), SizeAdvice)
    finally:
        estimator.close()
    assert changes == [True, False, True, False]


def test_a_photo_that_came_when_its_process_was_dead_already_is_answered_by_the_next() -> None:
    with loaded_estimator(processes=1, look_seconds=UNSEEN_SECONDS) as alone:
        [first], measurer = alone.pids, the_measurer(alone)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: measurer.has_ended, "its end is known")
        assert isinstance(measure(alone), SizeAdvice)
        assert alone.pids != [first]


def test_a_photo_that_was_refused_is_gone_from_memory() -> None:
    refused = bytes(bytearray(b"no picture" * 100_000))
    with loaded_estimator(processes=1) as alone:
        gc.collect()
        gc.disable()
        try:
            before = sys.getrefcount(refused)
            with suppress(NotAnImage):
                asyncio.run(alone.measure(Question(refused, 170, None)))
            wait_until(lambda: sys.getrefcount(refused) <= before, "nobody holds it any more")
        finally:
            gc.enable()


def test_the_workers_keys_are_not_given_to_what_decodes_strangers_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret")
    with loaded_estimator(processes=1) as alone:
        [pid] = alone.pids
        environment = psutil.Process(pid).environ()
    assert "OPENAI_API_KEY" not in environment
    assert environment["PATH"] == os.environ["PATH"]
    assert environment.keys() >= MALLOC.keys()


def test_a_process_that_stops_in_the_middle_of_a_reply_is_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    falls_silent = tmp_path / "python"
    falls_silent.write_text(f"#!{sys.executable}\n{FALLS_SILENT}")
    falls_silent.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(falls_silent))
    server = ForkServer()
    silent = Measurer(server, stuck_seconds=1)
    with pytest.raises(MeasurerGone):
        silent.wait_until_ready()
    server.close()
    assert server.pid is not None
    assert not psutil.pid_exists(server.pid)


def test_the_processes_share_one_set_of_models(estimator: BodyEstimator) -> None:
    assert {psutil.Process(pid).ppid() for pid in estimator.pids} == {estimator._server.pid}


def test_the_death_of_the_fork_server_costs_no_answer(estimator: BodyEstimator) -> None:
    first_server, first = estimator._server.pid, set(estimator.pids)
    assert first_server is not None
    os.kill(first_server, signal.SIGKILL)
    wait_until(lambda: set(estimator.pids).isdisjoint(first), "the processes without a server are replaced")
    estimator.wait_until_loaded(LOAD_TIMEOUT_SECONDS)
    assert isinstance(measure(estimator), SizeAdvice)
    assert estimator._server.pid != first_server
    wait_until(lambda: not any(is_running(pid) for pid in first), "the old ones end")


def is_running(pid: int) -> bool:
    """An orphan that has ended is a zombie until the machine's process 1 looks."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_process_that_is_replaced_needs_no_loading() -> None:
    with loaded_estimator(processes=1) as alone:
        server, first = alone._server.pid, alone.pids
        os.kill(first[0], signal.SIGKILL)
        wait_until(lambda: alone.pids and alone.pids != first, "another is ready")
        assert alone._server.pid == server


def test_one_process_less_leaves_the_other_to_answer(estimator: BodyEstimator) -> None:
    stopped, _ = estimator.pids
    psutil.Process(stopped).suspend()
    try:
        with ThreadPoolExecutor(4) as callers:
            answers = [callers.submit(measure, estimator) for _ in range(4)]
            wait_until(lambda: sum(answer.done() for answer in answers) >= 3, "three of four are answered")
            assert estimator.loaded
            psutil.Process(stopped).resume()
            assert len({str(answer.result(PATIENT_SECONDS)) for answer in answers}) == 1
    finally:
        psutil.Process(stopped).resume()


def test_a_process_that_hangs_is_killed(server: ForkServer) -> None:
    with ready_measurer(server, stuck_seconds=1) as measurer:
        psutil.Process(measurer.pid).suspend()
        with pytest.raises(MeasurerGone, match="hangs"):
            measurer.measure(STANDING)
        assert not psutil.pid_exists(measurer.pid)


def test_a_process_that_talks_nonsense_is_killed(measurer: Measurer, monkeypatch: pytest.MonkeyPatch) -> None:
    def nonsense(_: Connection) -> None:
        raise ValueError("unknown reply")

    monkeypatch.setattr(measurer_module, "receive_reply", nonsense)
    with pytest.raises(MeasurerGone):
        measurer.measure(STANDING)
    assert not psutil.pid_exists(measurer.pid)


def test_a_system_that_starts_no_process_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ready = threading.Event()
    estimator = BodyEstimator(processes=1)
    with structlog.testing.capture_logs() as lines, monkeypatch.context() as without_python:
        without_python.setattr(sys, "executable", "/nowhere/python")
        estimator.start(on_change=lambda loaded: ready.set() if loaded else None)
        wait_until(lambda: lines, "it failed")
        without_python.undo()
        assert ready.wait(LOAD_TIMEOUT_SECONDS)
        estimator.close()
    assert lines[0]["event"] == "size_model_failed"
    assert "No such file" in lines[0]["error"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_does_not_end_what_the_main_process_waits_for(
    measurer: Measurer, number: signal.Signals
) -> None:
    os.kill(measurer.pid, number)
    assert isinstance(measurer.measure(STANDING), SizeAdvice)


def test_a_process_ends_by_itself_when_its_main_process_is_killed() -> None:
    run = subprocess.run([sys.executable, "-c", ENDS_WITHOUT_CLOSING], capture_output=True, text=True, check=False)
    assert run.returncode == -signal.SIGKILL
    orphan = int(run.stdout)
    try:
        psutil.Process(orphan).wait(PATIENT_SECONDS)
    except psutil.NoSuchProcess:
        return


def test_closing_lets_a_process_finish_what_it_has_begun_and_drops_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    with loaded_estimator(processes=1) as closing:
        [measuring] = closing.pids
        asked = told_when_asked(closing, monkeypatch)
        with ThreadPoolExecutor(2) as callers:
            psutil.Process(measuring).suspend()
            begun = callers.submit(measure, closing)
            assert asked.wait(PATIENT_SECONDS)
            waiting = callers.submit(measure, closing)
            wait_until(lambda: not closing._jobs.empty(), "the second one waits")
            closer = threading.Thread(target=closing.close)
            closer.start()
            with pytest.raises(ModelUnavailable):
                waiting.result(PATIENT_SECONDS)
            psutil.Process(measuring).resume()
            assert isinstance(begun.result(PATIENT_SECONDS), SizeAdvice)
            closer.join()
    assert not psutil.pid_exists(measuring)


def test_closing_does_not_wait_for_a_process_that_is_still_loading() -> None:
    """These would take an hour, and closing as long."""
    estimator = BodyEstimator(start_measurer=partial(Measurer, ready_seconds=3600))
    estimator.start()
    wait_until(lambda: all(keeper.measurer for keeper in estimator._keepers), "both load")
    loading = estimator._server.pid
    assert loading is not None
    psutil.Process(loading).suspend()
    estimator.close()
    assert not estimator.loaded
    assert not psutil.pid_exists(loading)


def test_a_model_that_cannot_be_loaded_is_said_with_its_cause_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ready = threading.Event()
    broken = tmp_path / "sitecustomize.py"
    broken.write_text("import sys; sys.modules['ai_edge_litert.interpreter'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    estimator = BodyEstimator(processes=1)
    with structlog.testing.capture_logs() as lines:
        estimator.start(on_change=lambda loaded: ready.set() if loaded else None)
        try:
            wait_until(lambda: any(line["event"] == "size_model_failed" for line in lines), "it failed")
            assert not ready.is_set()
            broken.write_text("")
            assert ready.wait(LOAD_TIMEOUT_SECONDS)
        finally:
            estimator.close()
    failure = next(line["error"] for line in lines if line["event"] == "size_model_failed")
    assert "ai_edge_litert" in failure


def test_a_fault_of_ours_is_told_with_its_traceback_and_the_process_goes_on(measurer: Measurer) -> None:
    with pytest.raises(MeasuringFailed, match=r"(?s)Traceback.*TypeError"):
        measurer.measure(Question(STANDING.photo, None, None))  # type: ignore[arg-type]
    assert isinstance(measurer.measure(STANDING), SizeAdvice)


def test_huge_pictures_are_decoded_by_one_process_at_a_time(measurer: Measurer) -> None:
    """This process holds the lock, as it does while it decodes one itself."""
    with ThreadPoolExecutor(1) as caller:
        with image_processor._alone_among_processes():
            waiting = caller.submit(measurer.measure, Question(huge_picture(), 176.2, None))
            wait_until(lambda: waits_for_a_lock(measurer.pid), "it waits for the lock")
            assert not waiting.done()
        assert waiting.exception(PATIENT_SECONDS) is not None, "nobody is on it"


def test_a_process_killed_while_it_decodes_a_huge_picture_leaves_the_lock_to_the_next(measurer: Measurer) -> None:
    with ThreadPoolExecutor(1) as caller:
        with image_processor._alone_among_processes():
            waiting = caller.submit(measurer.measure, Question(huge_picture(), 176.2, None))
            wait_until(lambda: waits_for_a_lock(measurer.pid), "it waits for the lock")
        measurer.kill()
        waiting.exception(PATIENT_SECONDS)
    with image_processor._alone_among_processes():
        pass


def waits_for_a_lock(pid: int) -> bool:
    """Whether the kernel lists the process among those that wait ("->") for a lock of the image processor's file."""
    inode = str(Path(image_processor.__file__).stat().st_ino)
    return any(
        "->" in line and f" {pid} " in line and f":{inode} " in line
        for line in Path("/proc/locks").read_text().splitlines()
    )
