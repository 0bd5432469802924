"""A part that goes wild stays inside its limits, and secrets stay where they belong (FR-7.4, NFR-3.3)."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psutil

from tests.infra.engine.calls import Caller, SteadyCalls, expect_all_well
from tests.infra.engine.docker import EventWatch
from tests.infra.engine.host import Host
from tests.infra.engine.rig import Rig
from tests.infra.engine.waiting import wait_for

STAND_INS = ("nginx", "redis", "python")

KILLED = 137
"""128 + SIGKILL: what the kernel's memory killer leaves."""

EATER = "kept = [bytearray(b'x' * 2**20) for _ in range(4096)]"
FORKER = """
import os, signal, sys, time
children = []
try:
    while len(children) < 3000:
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        children.append(child)
except OSError:
    pass
print(len(children))
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""

SECRETS = (
    *("REDIS_PASSWORD", "SUPABASE_SERVICE_ROLE_KEY", "OPENAI_API_KEY", "GF_SECURITY_ADMIN_PASSWORD"),
    "WHATSAPP_WEBHOOK_SECRET",
)
MAY_KNOW: Final[Mapping[str, tuple[str, ...]]] = {
    "redis": ("REDISCLI_AUTH=",),
    "redis-exporter": ("REDIS_PASSWORD=",),
    "celery-exporter": ("CE_BROKER_URL=",),
    "grafana": ("GF_SECURITY_ADMIN_PASSWORD=", "WHATSAPP_WEBHOOK_SECRET="),
    "grafana-whatsapp-webhook": ("WHATSAPP_WEBHOOK_SECRET=",),
}
"""In which variables a service has a secret; the worker has its own in many."""

ROOT_WITHOUT_CAPABILITIES = {"docker-socket"}
RECOVERED_WITHIN_SECONDS = 60.0
WELL_AGAIN_WITHIN_SECONDS = 30.0
"""NFR-2.2."""

FIRST_TO_GO = "1000"
"""oom_score_adj (proc_pid_oom_score_adj(5)): the kernel ends this process before all others."""


def test_a_worker_that_eats_memory_ends_alone(rig: Rig, host: Host, caller: Caller) -> None:
    others = {name: host.container(name) for name in ("nginx", "redis")}
    worker = host.container("worker")
    with SteadyCalls(caller, None, health_per_second=2) as calls:
        status, _ = rig.docker.attempt("exec", worker, "python", "-c", EATER)
        host.wait_healthy("worker", seconds=RECOVERED_WITHIN_SECONDS)
    assert status == KILLED
    assert {name: host.container(name) for name in others} == others
    assert [host.docker.inspect(container)["RestartCount"] for container in others.values()] == [0, 0]
    rig.report.proved(
        "memory eaten inside the worker's container: the kernel ends it there, Redis and nginx never noticed",
        f"exit code {status}; worker restarted {rig.docker.inspect(worker)['RestartCount']}x; {calls.answers}",
        stand_ins=STAND_INS,
    )


def test_a_worker_that_the_kernel_ends_for_its_memory_is_well_again_within_half_a_minute(rig: Rig, host: Host) -> None:
    worker = host.container("worker")
    others = {name: host.container(name) for name in ("nginx", "redis")}
    main_process = psutil.Process(rig.docker.host_pid(worker)).children()[0]
    Path(f"/proc/{main_process.pid}/oom_score_adj").write_text(FIRST_TO_GO)
    with EventWatch(rig.docker) as events:
        rig.docker.attempt("exec", worker, "python", "-c", EATER)
        wait_for("the worker's end", lambda: events.of("worker", "die"), seconds=RECOVERED_WITHIN_SECONDS)
        ended_at = time.monotonic()
        host.wait_healthy("worker", seconds=WELL_AGAIN_WITHIN_SECONDS)
        seconds = time.monotonic() - ended_at
    assert host.container("worker") == worker
    assert rig.docker.inspect(worker)["RestartCount"] == 1
    assert {name: host.container(name) for name in others} == others
    rig.report.proved(
        "the kernel ends the worker itself for the memory of its container: restarted, Redis and nginx never noticed",
        f"healthy again after {seconds:.1f} s",
        stand_ins=STAND_INS,
    )


def test_a_worker_that_forks_without_end_hits_its_limit_and_nothing_else_does(
    rig: Rig, host: Host, caller: Caller
) -> None:
    worker = host.container("worker")
    limit = rig.docker.inspect(worker)["HostConfig"]["PidsLimit"]
    with SteadyCalls(caller, None, health_per_second=2) as calls:
        status, output = rig.docker.attempt("exec", worker, "python", "-c", FORKER)
    assert status == 0
    assert 0 < int(output.split()[-1]) < limit
    assert host.is_healthy("redis")
    assert host.is_healthy("nginx")
    expect_all_well(host, calls.answers)
    rig.report.proved(
        "processes forked without end inside the worker's container",
        f"stopped at {int(output.split()[-1])} of {limit}; {calls.answers}",
        stand_ins=STAND_INS,
    )


def test_the_engine_applies_every_limit_of_the_file(rig: Rig, host: Host) -> None:
    services = json.loads(host.compose("config", "--format", "json"))["services"]
    for name in services:
        limits = services[name]["deploy"]["resources"]["limits"]
        seen = rig.docker.inspect(host.container(name))
        settings = seen["HostConfig"]
        assert settings["Memory"] == int(limits["memory"])
        assert settings["NanoCpus"] == round(float(limits["cpus"]) * 1e9)
        assert settings["PidsLimit"] == limits["pids"]
        assert settings["ReadonlyRootfs"]
        assert (seen["Config"]["User"].split(":")[0] in ("", "0", "root")) == (name in ROOT_WITHOUT_CAPABILITIES)
        assert settings["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}
        assert effective_capabilities(rig, host, name) == 0
    rig.report.proved(
        "memory, CPU and process limits, read-only root, user, log bounds and no capabilities, as the engine has them",
        f"{len(services)} of {len(services)} services",
        stand_ins=STAND_INS,
    )


def test_no_secret_is_in_a_process_list_a_check_a_log_or_another_services_environment(rig: Rig, host: Host) -> None:
    secrets = [host.setting(name) for name in SECRETS]
    commands = "\n".join(" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))
    places = {"process list": commands}
    for name in json.loads(host.compose("config", "--format", "json"))["services"]:
        seen = rig.docker.inspect(host.container(name))
        environment = seen["Config"].pop("Env")
        places[f"inspect of {name}"] = json.dumps(seen)
        places[f"log of {name}"] = host.log(name)
        if name != "worker":
            mine = MAY_KNOW.get(name, ())
            places[f"environment of {name}"] = json.dumps([line for line in environment if not line.startswith(mine)])
    found = [place for place, text in places.items() if any(secret in text for secret in secrets)]
    assert found == []
    assert (host.home / ".env").stat().st_mode & 0o777 == 0o600
    rig.report.proved(
        "no secret in process lists, inspect, health checks, logs or another service's environment",
        f"{len(secrets)} secrets, {len(places)} places",
        stand_ins=STAND_INS,
    )


def effective_capabilities(rig: Rig, host: Host, service: str) -> int:
    """Of its process 1."""
    status = Path(f"/proc/{rig.docker.host_pid(host.container(service))}/status").read_text()
    return int(status.split("CapEff:")[1].split()[0], 16)
