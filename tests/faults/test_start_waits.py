"""A worker that is started while Redis or Supabase is away waits inside, and says so."""

import signal
import socket
import time
from collections.abc import Iterator
from typing import Any, Final

import httpx
import psutil
import pytest

from main import EXIT_UNAVAILABLE
from models.generation import SessionStatus
from sandbox.plain_http import NO_AUTHORITIES
from sandbox.servers.local_server import LocalServer
from sandbox.servers.processes import LOOPBACK, free_port
from tests.support.worker import WAIT_SECONDS, Stage, Worker, wait_until
from worker.supervision.supervisor import EXIT_PART_DIED

pytest_plugins = ["tests.support.worker_fixtures"]

PASSWORD: Final = "the-password-in-the-url"
AT_ONCE_SECONDS: Final = 9.0
"""Ending takes a second; a busy machine may need some more. A check of a frozen Redis takes ten."""

WORDS: Final = {
    "redis": "REDIS_URL: Redis at 127.0.0.1:",
    "supabase": "SUPABASE_URL: Supabase cannot be used now (ConnectError, ",
}
MISSING: Final = {"redis": {"redis", "broker"}, "supabase": {"database"}}


def part(stage: Stage, name: str) -> LocalServer:
    """The server of the world by this name."""
    server: LocalServer = getattr(stage.world, name)
    return server


def answered(worker: Worker) -> dict[str, Any] | None:
    """What /health says, if the port is open."""
    try:
        return worker.health()
    except httpx.HTTPError:
        return None


@pytest.fixture(params=list(WORDS))
def away(request: pytest.FixtureRequest, stage: Stage) -> Iterator[str]:
    """What is not there when the worker is started."""
    name = str(request.param)
    part(stage, name).kill()
    yield name
    part(stage, name).start()


def test_it_waits_names_what_is_missing_and_works_once_that_is_there(stage: Stage, away: str) -> None:
    worker = stage.worker(f"without-{away}")
    worker.launch()
    line = worker.wait_for_line("start_waits")
    assert MISSING[away] <= set(line["missing"])
    assert any(words.startswith(WORDS[away]) and "Connection refused" in words for words in line["words"])

    wait_until(lambda: answered(worker), "the port is open although the worker is not ready")
    health = worker.health()
    assert (health["status"], health["starting"], health["draining"]) == ("degraded", True, False)
    assert MISSING[away] <= set(health["degraded"])
    assert worker.metric("wearon_starting") == 1
    assert all(worker.metric("wearon_component_up", component=missing) == 0 for missing in MISSING[away])
    wait_until(lambda: worker.health()["model_loaded"], "the model is loaded meanwhile")
    refused = httpx.post(
        f"{worker.url}/estimate-body",
        json={"image_url": "ftp://x", "height_cm": 170},
        trust_env=False,
        verify=NO_AUTHORITIES,
    )
    assert refused.status_code not in {500, 503}, "size recommendation works"

    part(stage, away).start()
    wait_until(lambda: worker.health()["status"] == "ok", "all is well")
    assert not worker.health()["starting"]
    [row] = stage.wait_for(stage.submit(f"after {away} came"))
    assert row.status is SessionStatus.COMPLETED
    worker.terminate()
    assert worker.wait(WAIT_SECONDS) == 0


@pytest.mark.parametrize("frozen", [False, True], ids=["refuses", "frozen"])
def test_a_stop_while_it_waits_ends_it_at_once_and_well(stage: Stage, *, frozen: bool) -> None:
    worker = stage.worker("stopped-frozen" if frozen else "stopped")
    redis = psutil.Process(stage.world.redis.pid)
    if frozen:
        redis.suspend()
    else:
        stage.world.redis.kill()
    try:
        worker.launch()
        wait_until(
            lambda: (answered(worker) or {}).get("model_loaded"), "the port is open and size recommendation works"
        )
        asked_at = time.monotonic()
        worker.terminate()
        assert worker.wait(WAIT_SECONDS) == 0
        assert time.monotonic() - asked_at < AT_ONCE_SECONDS
    finally:
        if frozen:
            redis.send_signal(signal.SIGCONT)
        stage.world.redis.start()
    assert not worker.lines("executor_started")
    assert not worker.lines("part_down", part="model"), "what ends because it was told to is no fault"


def test_what_is_wrong_ends_it_at_once_even_while_something_else_is_away(stage: Stage) -> None:
    worker = stage.worker(
        "wrong-key",
        REDIS_URL=f"redis://:{PASSWORD}@{LOOPBACK}:{free_port()}/0",
        SUPABASE_SERVICE_ROLE_KEY="sb_secret_no",
    )
    worker.launch()
    assert worker.wait(WAIT_SECONDS) == EXIT_UNAVAILABLE
    output = worker.log_path.read_text()
    assert "SUPABASE_SERVICE_ROLE_KEY: Supabase refuses the key" in output
    assert PASSWORD not in output


def test_what_turns_out_wrong_after_a_wait_ends_it_with_a_line(stage: Stage) -> None:
    worker = stage.worker("late-wrong", SUPABASE_SERVICE_ROLE_KEY="sb_secret_of-another-project")
    part(stage, "supabase").kill()
    try:
        worker.launch()
        wait_until(lambda: answered(worker), "the port is open")
    finally:
        part(stage, "supabase").start()
    assert worker.wait(WAIT_SECONDS) == EXIT_UNAVAILABLE
    [line] = worker.lines("cannot_start", level="critical")
    assert "SUPABASE_SERVICE_ROLE_KEY: Supabase refuses the key" in line["words"]
    assert "sb_secret_of-another-project" not in worker.log_path.read_text()


def test_a_port_that_is_taken_ends_a_worker_that_waits(stage: Stage) -> None:
    nobody = f"redis://{LOOPBACK}:{free_port()}/0"
    with socket.create_server((LOOPBACK, 0)) as taken:
        worker = stage.worker("no-port", REDIS_URL=nobody, CELERY_BROKER_URL=nobody)
        worker.port = taken.getsockname()[1]
        worker.launch()
        assert worker.wait(WAIT_SECONDS) == EXIT_PART_DIED
    assert worker.lines("part_died", part="http", level="critical")
