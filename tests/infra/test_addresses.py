"""A container's address may belong to another one a moment later (langgenius/dify #40448)."""

import time
from collections import Counter
from collections.abc import Iterator

import httpx

from tests.infra.engine.calls import Caller, request
from tests.infra.engine.host import Host
from tests.infra.engine.neighbours import neighbour
from tests.infra.engine.rig import Rig

WORKER_PORT = 8_000
FOUND_WITHIN_SECONDS = 3.0
FORGOTTEN_AFTER_SECONDS = 1.5
"""nginx asks for the name every second (ADR 0114)."""
ASKED_FOR_SECONDS = 5.0
PAUSE_SECONDS = 0.05


def test_a_stranger_that_takes_the_workers_old_address_is_sent_nothing(rig: Rig, host: Host, caller: Caller) -> None:
    old = host.container("worker")
    address = host.docker.address(old, host.network)
    assert caller.ask("GET", "/health").is_success
    rig.docker("stop", old)
    rig.docker("rm", old)
    with neighbour(host, "stranger", port=WORKER_PORT) as stranger:
        assert host.docker.address(stranger, host.network) == address, "the engine gives a freed address again"
        first = Counter(answers(caller, FORGOTTEN_AFTER_SECONDS))
        meanwhile = Counter(answers(caller, ASKED_FOR_SECONDS))
        host.compose("up", "-d", "--wait", "worker")
        assert host.docker.address(host.container("worker"), host.network) != address
        healthy_at = time.monotonic()
        while not caller.ask("GET", "/health").is_success:
            assert time.monotonic() - healthy_at < FOUND_WITHIN_SECONDS
        seconds = time.monotonic() - healthy_at
        afterwards = Counter(answers(caller, FOUND_WITHIN_SECONDS))
    assert meanwhile["stranger"] == 0
    assert set(afterwards) == {"worker"}
    rig.report.proved(
        "the worker's old address is taken by a stranger on the same port",
        f"its first {FORGOTTEN_AFTER_SECONDS} s {dict(first)}, then without a worker {dict(meanwhile)}; "
        f"then found in {seconds:.1f} s, {dict(afterwards)}",
        stand_ins=("nginx", "python"),
    )


def answers(caller: Caller, seconds: float) -> Iterator[str]:
    """Who answered, again and again."""
    ends_at = time.monotonic() + seconds
    with httpx.Client(verify=caller.context(), trust_env=False) as client:
        while time.monotonic() < ends_at:
            answer = client.send(request(client, "GET", "/health"))
            told = answer.json() if answer.headers.get("content-type", "").startswith("application/json") else {}
            yield told.get("name") or ("worker" if "consumer_alive" in told else str(answer.status_code))
            time.sleep(PAUSE_SECONDS)
