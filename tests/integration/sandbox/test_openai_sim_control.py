"""The OpenAI simulator is steered over its control API, counts what arrives, and runs as a process of its own."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import psutil
import pytest

from sandbox.openai_sim import SimulatorClient, SimulatorOptions, running_simulator
from sandbox.openai_sim.faults import FAULTS
from sandbox.openai_sim.rate_limit import RequestRateLimit
from sandbox.openai_sim.server import LOOPBACK, SimulatorServer
from sandbox.openai_sim.stats import Stats
from sandbox.plain_http import NO_AUTHORITIES
from tests.support.openai_sim_calls import MODEL, OTHER_MODEL, PICTURE, SOON_SECONDS, noise, post, wait_until

ALL_UPLOADS_SECONDS = 2 * SOON_SECONDS
"""The first of 25 waits for its answer until the last is read."""


@pytest.fixture(scope="module")
def module_simulator() -> Iterator[SimulatorClient]:
    with running_simulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(module_simulator: SimulatorClient) -> SimulatorClient:
    module_simulator.reset()
    return module_simulator


def test_a_global_fault_hits_every_request_until_it_is_taken_away(simulator: SimulatorClient) -> None:
    simulator.set_faults("503-always")
    assert [post(simulator.base_url, prompt).status_code for prompt in "ab"] == [503, 503]
    simulator.set_faults()
    assert post(simulator.base_url, "a").status_code == 200


def test_a_global_fault_can_be_bounded_in_number(simulator: SimulatorClient) -> None:
    simulator.set_faults({"name": "500-always", "times": 2})
    assert [post(simulator.base_url, "a").status_code for _ in range(3)] == [500, 500, 200]


def test_chance_repeats_with_the_seed(simulator: SimulatorClient) -> None:
    def run() -> list[int]:
        simulator.reset()
        simulator.set_faults({"name": "500-always", "probability": 0.5})
        return [post(simulator.base_url, "a").status_code for _ in range(12)]

    first = run()
    assert set(first) == {200, 500}
    assert run() == first


def test_the_prompts_own_fault_comes_before_a_global_one(simulator: SimulatorClient) -> None:
    simulator.set_faults("503-always")
    assert post(simulator.base_url, "[[sim:moderation]]").status_code == 400


def test_every_fault_is_listed_with_its_meaning(simulator: SimulatorClient) -> None:
    simulator.set_faults({"name": "latency", "value": "0.1"})
    listed = simulator.faults()
    assert {fault["name"] for fault in listed["faults"]} == set(FAULTS)
    assert all(fault["meaning"] and "\n" not in fault["meaning"] for fault in listed["faults"])
    assert [entry["fault"] for entry in listed["active"]] == ["latency=0.1"]


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("/faults", {"faults": [{"name": "nonsense"}]}),
        ("/faults", {"faults": [{"name": "latency"}]}),
        ("/faults", {"faults": [{"name": "latency", "value": "soon"}]}),
        ("/faults", {"faults": [{"name": "500-once", "value": "1"}]}),
        ("/faults", {"faults": [{"name": "hang", "probability": 2}]}),
        ("/faults", {"fault": []}),
        ("/models/retire", {"model": "dall-e-2"}),
        ("/settings", {"latency": "long"}),
        ("/settings", {"requests_per_minute": 0}),
    ],
)
def test_a_control_request_that_makes_no_sense_is_refused_and_changes_nothing(
    simulator: SimulatorClient, path: str, command: dict[str, Any]
) -> None:
    before = (simulator.settings(), simulator.faults())
    answer = httpx.post(f"{simulator.url}/_sim{path}", json=command, timeout=SOON_SECONDS, verify=NO_AUTHORITIES)
    assert answer.status_code == 400
    assert (simulator.settings(), simulator.faults()) == before


def test_requests_above_the_limit_are_told_to_wait(simulator: SimulatorClient) -> None:
    simulator.set_requests_per_minute(2)
    answers = [post(simulator.base_url, "a") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["1", "0", "0"]
    assert answers[2].json()["error"]["code"] == "rate_limit_exceeded"
    assert 20 < int(answers[2].headers["retry-after"]) <= 60
    simulator.set_requests_per_minute(None)
    assert post(simulator.base_url, "a").status_code == 200


@pytest.mark.parametrize(
    ("arrivals", "admitted"),
    [
        ([0, 1, 2], [True, True, False]),
        ([0, 1, 59.9, 119.8], [True, True, False, True]),
        ([0, 1, 60], [True, True, True]),
        ([0, 30, 60, 61, 90], [True, True, True, False, False]),
    ],
)
def test_two_requests_pass_in_any_sixty_seconds_and_refused_ones_count(
    arrivals: list[float], admitted: list[bool]
) -> None:
    limit = RequestRateLimit(2)
    assert [limit.admit(arrival).retry_after_seconds is None for arrival in arrivals] == admitted


@pytest.mark.parametrize(
    ("arrivals", "peak"),
    [([], 0), ([0], 1), ([0, 60, 120], 1), ([0, 59.9, 60], 2), ([0, 30, 59, 61, 62, 200], 4)],
)
def test_the_busiest_sixty_seconds_are_found(arrivals: list[float], peak: int) -> None:
    stats = Stats()
    for arrival in arrivals:
        stats.arrive(arrival, "req")
    assert stats.report()["peak_requests_in_60_seconds"] == peak


def test_the_statistics_tell_what_arrived(simulator: SimulatorClient) -> None:
    started = time.time()
    post(simulator.base_url, "hello")
    post(simulator.base_url, "[[sim:500-once]]", model=OTHER_MODEL)
    stats = simulator.stats(arrivals=True)
    assert (stats["requests"], stats["in_flight"], stats["peak_in_flight"]) == (2, 0, 1)
    assert stats["by_status"] == {"200": 1, "500": 1}
    assert stats["by_fault"] == {"500-once": 1}
    assert stats["by_model"] == {MODEL: 1, OTHER_MODEL: 1}
    assert stats["peak_requests_in_60_seconds"] == 2
    assert started - 1 < stats["arrivals"][0] <= stats["arrivals"][1] < time.time() + 1
    seen = stats["recent"][0]
    assert seen["fields"] == {"prompt": "hello", "model": MODEL, "output_format": "jpeg", "size": "1024x1024"}
    assert seen["images"] == [{"format": "JPEG", "bytes": len(PICTURE), "width": 64, "height": 64}]
    simulator.reset_stats()
    assert (simulator.stats()["requests"], simulator.stats()["recent"]) == (0, [])


def test_requests_under_way_together_are_counted(simulator: SimulatorClient) -> None:
    with ThreadPoolExecutor(5) as pool:
        calls = [pool.submit(post, simulator.base_url, f"{n} [[sim:held]]") for n in range(5)]
        wait_until(lambda: bool(simulator.stats()["held"] == 5))
        assert simulator.stats()["in_flight"] == 5
        simulator.release()
        assert [call.result().status_code for call in calls] == [200] * 5
    assert simulator.stats()["peak_in_flight"] == 5


def test_stopping_does_not_wait_for_what_hangs() -> None:
    server = SimulatorServer(SimulatorOptions())
    server.config.timeout_graceful_shutdown = None  # nothing is cut off: what it waits for it waits for until it ends
    serving = threading.Thread(target=server.run_until_stopped, daemon=True)
    serving.start()
    assert server.ready.wait(SOON_SECONDS)
    with ThreadPoolExecutor(1) as pool, SimulatorClient(f"http://{LOOPBACK}:{server.port}") as simulator:
        call = pool.submit(post, simulator.base_url, "[[sim:hang]]", timeout_seconds=2 * SOON_SECONDS)
        wait_until(lambda: bool(simulator.stats()["in_flight"] == 1))
        server.stop()
        serving.join(SOON_SECONDS)
        assert not serving.is_alive()
        assert call.result().status_code == 500


@contextmanager
def simulator_process(*arguments: str) -> Iterator[tuple[dict[str, Any], SimulatorClient]]:
    """The simulator as a child process; yields its JSON line and a client."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.openai_sim", *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        with SimulatorClient(ready["base_url"].removesuffix("/v1")) as client:
            yield ready, client
    finally:
        process.terminate()
        process.wait(SOON_SECONDS)
        process.stdout.close()


def test_as_a_process_it_takes_its_settings_from_the_command_line() -> None:
    options = ["--latency", "0.1-0.2", "--requests-per-minute", "7", "--seed", "5", "--fixed-result"]
    with simulator_process(*options) as (ready, client):
        assert client.settings() == {
            "latency": "0.1-0.2",
            "requests_per_minute": 7,
            "seed": 5,
            "fixed_result": True,
            "retired": [],
        }
        assert post(ready["base_url"], "hello").status_code == 200
        assert client.stats()["recent"][0]["duration_seconds"] >= 0.1


def test_a_process_ends_when_its_parent_is_killed() -> None:
    """Both processes hold the pipe; it ends only when the simulator is gone too."""
    code = "import subprocess, sys; subprocess.run([sys.executable, '-m', 'sandbox.openai_sim'], check=False)"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    ready = json.loads(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert parent.stdout.read() == ""
    parent.stdout.close()
    with pytest.raises(httpx.ConnectError):
        post(ready["base_url"], "hello")


def test_waiting_requests_do_not_keep_their_uploads_in_memory() -> None:
    """The uploads come one after the other: those that are still being read need their memory, of course."""
    count, content = 25, noise(1800)
    with simulator_process("--latency", "600") as (ready, client), ThreadPoolExecutor(count) as pool:

        def holds(number: int) -> bool:
            return sum(bool(seen["images"]) for seen in client.stats()["recent"]) == number

        process = psutil.Process(ready["pid"])
        before_bytes = process.memory_full_info().uss
        for number in range(1, count + 1):
            pool.submit(post, ready["base_url"], str(number), content=content, timeout_seconds=ALL_UPLOADS_SECONDS)
            wait_until(partial(holds, number))
        grown_bytes = process.memory_full_info().uss - before_bytes
        assert client.stats()["in_flight"] == count
        process.terminate()
    uploaded_bytes = count * len(content)
    assert uploaded_bytes > 75_000_000
    assert grown_bytes < uploaded_bytes / 3
