"""The services that watch: all of them well, none of them needed (stories 4.2, 4.3, 4.4, 5.1)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.infra.engine.calls import Caller
from tests.infra.engine.host import Host
from tests.infra.engine.images import PYTHON_BASE
from tests.infra.engine.rig import Rig
from tests.infra.engine.scraping import value, wait_all_up
from tests.infra.engine.waiting import wait_for

STAND_INS = ("prometheus", "exporters", "grafana", "loki", "alloy", "python")

MONITORS: Final = (
    *("prometheus", "grafana", "loki", "alloy", "docker-socket", "celery-exporter", "node-exporter"),
    *("redis-exporter", "blackbox-exporter", "grafana-whatsapp-webhook"),
)
"""Those that check their own health."""

JOBS: Final = {
    *("worker", "celery-exporter", "node-exporter", "redis-exporter", "nginx-exporter", "site", "blackbox-exporter"),
    *("loki", "alloy", "grafana", "grafana-whatsapp-webhook", "prometheus"),
}

UNHEALTHY_WITHIN_SECONDS = 75.0
"""Three checks of 15 s and the last one's time, and some."""

SCRAPED_AGAIN_WITHIN_SECONDS = 45.0

ASKER = Path(__file__).parent / "engine" / "ask_the_engine.py"


def test_every_service_that_watches_is_well_and_every_target_is_up(rig: Rig, host: Host) -> None:
    host.wait_healthy(*MONITORS)
    up = wait_all_up(host)
    assert {target.job for target in up} == JOBS
    assert value(host, "min(up)") == 1
    rig.report.proved(
        "/api/v1/targets: every job up; every monitor that checks itself is healthy",
        f"{len(up)} targets of {len(JOBS)} jobs, {len(MONITORS)} healthy",
        stand_ins=STAND_INS,
    )


def test_the_site_probe_goes_through_tls_to_a_worker_and_sees_the_certificate(rig: Rig, host: Host) -> None:
    wait_all_up(host)
    wait_for("the site is probed", lambda: value(host, "probe_success"), seconds=SCRAPED_AGAIN_WITHIN_SECONDS)
    assert value(host, "probe_http_status_code") == 200
    left = value(host, "(probe_ssl_earliest_cert_expiry - time()) / 86400")
    assert left
    assert left > 0
    rig.report.proved(
        "site probe by the domain's name over nginx", f"200, certificate good for {left:.0f} days", stand_ins=STAND_INS
    )


def test_the_exporters_see_what_they_are_for(rig: Rig, host: Host) -> None:
    wait_all_up(host)
    seen = {
        "redis_up": value(host, "redis_up"),
        "nginx_up": value(host, "nginx_up"),
        "node_filesystem_avail_bytes": value(host, 'min(node_filesystem_avail_bytes{mountpoint="/"})'),
        "node_cpu_seconds_total": value(host, "sum(node_cpu_seconds_total)"),
        "node_memory_MemAvailable_bytes": value(host, "node_memory_MemAvailable_bytes"),
        "celery_queue_length": value(host, 'celery_queue_length{queue_name="wearon:tasks:generation"} + 1'),
    }
    assert all(seen.values()), seen
    fresh = value(host, "time() - wearon_certificate_expiry_timestamp_seconds")
    rig.report.proved(
        "redis, nginx, node and celery exporters",
        f"{', '.join(seen)}; textfile metrics {'seen' if fresh is not None else 'not written yet'}",
        stand_ins=STAND_INS,
    )


def test_grafana_answers_below_its_path_and_its_own_numbers_are_hidden(rig: Rig, host: Host, caller: Caller) -> None:
    host.wait_healthy("grafana")
    assert caller.ask("GET", "/grafana/api/health").status_code == 200
    assert caller.ask("GET", "/grafana/metrics").status_code == 404
    rig.report.proved("/grafana/api/health through nginx; /grafana/metrics hidden", "200, 404", stand_ins=STAND_INS)


def test_alloys_way_to_the_engine_lists_and_reads_logs_and_does_nothing_else(rig: Rig, host: Host) -> None:
    host.wait_healthy("docker-socket")
    worker = host.container("worker")
    allowed = [
        ("GET", "/_ping"),
        ("HEAD", "/_ping"),
        ("GET", "/v1.41/containers/json?all=0&filters=%7B%7D"),
        ("GET", "/v1.41/networks"),
        ("GET", f"/v1.41/containers/{worker}/json"),
        ("GET", f"/v1.41/containers/{worker}/logs?stdout=1&tail=1"),
        ("GET", f"/containers/{worker}/logs?stderr=1&tail=1"),
    ]
    refused = [
        ("POST", f"/v1.41/containers/{worker}/kill"),
        ("POST", "/v1.41/containers/create"),
        ("POST", "/v1.41/containers/json"),
        ("DELETE", f"/v1.41/containers/{worker}"),
        ("PUT", f"/v1.41/containers/{worker}/archive?path=/"),
        ("GET", f"/v1.41/containers/{worker}/archive?path=/etc/passwd"),
        ("GET", f"/v1.41/containers/{worker}/archive/%2e%2e/json"),
        ("GET", f"/v1.41/containers/{worker}/../../images/json"),
        ("GET", "//v1.41/images/json"),
        ("GET", "/v1.41/images/json"),
        ("GET", "/v1.41/secrets"),
        ("GET", "/v1.41/info"),
        ("GET", "/v1.41/exec/0123456789ab/json"),
        ("GET", f"/v1.41/containers/{worker}/json/../export"),
    ]
    assert ask(host, allowed) == [200] * len(allowed)
    assert ask(host, refused) == [403] * len(refused)
    assert host.container("worker") == worker
    rig.report.proved(
        "Alloy's socket to the engine",
        f"{len(allowed)} questions answered, {len(refused)} refused",
        stand_ins=("nginx",),
    )


def test_without_redis_its_exporters_say_so_and_celery_exporters_container_turns_unhealthy(
    rig: Rig, host: Host
) -> None:
    """Its /health stays green all the while (danihodovic/celery-exporter #365)."""
    host.wait_healthy("celery-exporter")
    exporter, redis = host.container("celery-exporter"), host.container("redis")
    rig.docker("stop", redis)
    try:
        wait_for(
            "celery-exporter is unhealthy",
            lambda: rig.docker.health(exporter) == "unhealthy",
            seconds=UNHEALTHY_WITHIN_SECONDS,
        )
        wait_for(
            "the target is down",
            lambda: value(host, 'up{job="celery-exporter"}') == 0,
            seconds=SCRAPED_AGAIN_WITHIN_SECONDS,
        )
        assert value(host, "redis_up") == 0
        assert host.setting("REDIS_PASSWORD") not in host.log("celery-exporter"), "its tracebacks show variables"
        restarts = rig.docker.inspect(exporter)["RestartCount"]
    finally:
        rig.docker("start", redis)
    host.wait_healthy("redis", "worker", "celery-exporter")
    wait_all_up(host)
    rig.report.proved(
        "Redis stopped: celery-exporter unhealthy, up 0, redis_up 0; all well again when Redis is back",
        f"exporter restarted {restarts}x",
        stand_ins=(*STAND_INS, "redis"),
    )


def ask(host: Host, questions: Sequence[tuple[str, str]]) -> list[int]:
    """The statuses that somebody with Alloy's volume gets."""
    words = [word for question in questions for word in question]
    output = host.docker(
        *("run", "--rm", "--network", "none", "--user", "473:473"),
        *("--volume", f"{host.project}_docker-api:/run/docker-api:ro", "--volume", f"{ASKER}:/ask.py:ro"),
        *(PYTHON_BASE, "python", "/ask.py", *words),
    )
    return [int(status) for status in output.split()]
