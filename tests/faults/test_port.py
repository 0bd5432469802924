"""From its first answer to its last, /health is the answer of a worker that is ready, or that drains."""

import threading
import time
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import pytest

from models.generation import SessionStatus
from tests.support.worker import HELD, WAIT_SECONDS, Stage, Worker, wait_until

pytest_plugins = ["tests.support.worker_fixtures"]

LAST_SECONDS: Final = 10.0
"""Between the port's end and the process's: ending the measuring processes and the interpreter takes one on an idle
machine."""


@dataclass
class Watch:
    """Asks /health again and again until told to stop."""

    worker: Worker
    answers: list[dict[str, Any]] = field(default_factory=list)
    refused_at: list[float] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """In a thread."""
        while not self.over.is_set():
            try:
                self.answers.append(self.worker.health())
            except httpx.ConnectError:
                if self.answers:
                    self.refused_at.append(time.monotonic())
            except httpx.HTTPError:
                continue


@pytest.fixture
def worker(stage: Stage) -> Worker:
    return stage.worker(WORKER_CONCURRENCY="4")


def test_the_first_answer_says_ok_and_every_one_while_draining_too_until_the_process_is_gone(
    stage: Stage, worker: Worker
) -> None:
    watch = Watch(worker)
    watching = threading.Thread(target=watch.run)
    worker.launch()
    watching.start()
    try:
        wait_until(lambda: watch.answers, "the port is open")
        running = stage.submit(f"{HELD} runs while the worker drains")
        stage.wait_until_held(1)
        worker.terminate()
        wait_until(lambda: watch.answers[-1]["draining"], "it is asked during the drain")
        stage.release()
        assert worker.wait(WAIT_SECONDS) == 0
        gone_at = time.monotonic()
    finally:
        watch.over.set()
        watching.join(WAIT_SECONDS)
    [row] = stage.wait_for(running)
    assert row.status is SessionStatus.COMPLETED
    assert [answer["degraded"] for answer in watch.answers if answer["status"] != "ok"] == []
    assert not watch.answers[0]["starting"]
    draining = [answer for answer in watch.answers if answer["draining"]]
    assert draining, "it was asked during the drain"
    assert watch.answers[-len(draining) :] == draining, "and answered until the end"
    assert all(gone_at - refused_at < LAST_SECONDS for refused_at in watch.refused_at)
    events = [line["event"] for line in worker.lines()]
    assert events.index("stopped") < events.index("port_closes"), "the port closes after everything else"


def test_a_worker_that_is_not_ready_refuses_connections(stage: Stage) -> None:
    worker = stage.worker("slow")
    worker.launch()
    worker.wait_for_line("worker_started")
    try:
        worker.health()
    except httpx.ConnectError:
        pass
    else:
        assert worker.lines("port_opens"), "nobody answers before"
    ready = worker.wait_for_line("executor_ready")
    opened = worker.wait_for_line("port_opens")
    assert ready["timestamp"] <= opened["timestamp"]
    loaded = worker.wait_for_line("size_model_loaded")
    assert loaded["timestamp"] <= opened["timestamp"]
