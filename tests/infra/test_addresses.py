"""A container's address may belong to another one a moment later (langgenius/dify #40448)."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx

from tests.infra.engine.calls import Caller, request
from tests.infra.engine.host import Host
from tests.infra.engine.neighbours import neighbour
from tests.infra.engine.rig import Rig

WORKER_PORT: Final = 8_000
FOUND_WITHIN_SECONDS: Final = 3.0
FORGOTTEN_AFTER_SECONDS: Final = 1.5
"""nginx asks for the name every second (ADR 0114)."""
ASKED_FOR_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 0.05

NGINX_SENDS_TO: Final = {"worker": WORKER_PORT, "grafana": 3_000}

LISTENING: Final = "0A"
"""``TCP_LISTEN`` in ``/proc/net/tcp`` (proc(5))."""
LOOPBACK: Final = ("0100007F", "0B00007F", "00000000000000000000000001000000")
"""127.0.0.1, Docker's name server at 127.0.0.11, and ::1, as proc(5) writes them on this machine."""


def test_whichever_service_takes_a_freed_address_listens_on_another_port(rig: Rig, host: Host) -> None:
    services = host.compose("ps", "--services").split()
    listening = {name: listening_ports(host.docker.host_pid(host.container(name))) for name in services}
    for owner, port in NGINX_SENDS_TO.items():
        assert {name for name, ports in listening.items() if port in ports} == {owner}
    rig.report.proved(
        "a freed address that another service of the stack got receives nothing: nobody else listens on that port",
        "; ".join(f"{name} {' '.join(map(str, sorted(ports))) or 'nothing'}" for name, ports in listening.items()),
        stand_ins=("nginx", "grafana", "redis", "prometheus", "exporters", "loki", "alloy", "python"),
    )


def test_a_stranger_on_the_workers_port_at_its_old_address_is_forgotten_within_nginxs_next_look(
    rig: Rig, host: Host, caller: Caller
) -> None:
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


def listening_ports(process: int) -> set[int]:
    """The TCP ports on which somebody in this process's network listens for others."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
            place, state = line.split()[1], line.split()[3]
            address, port = place.split(":")
            if state == LISTENING and address not in LOOPBACK:
                found.add(int(port, 16))
    return found
