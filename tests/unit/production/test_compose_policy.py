"""Every service of the production stack keeps every rule, and each rule notices when it is broken (ADR 0112)."""

import copy
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from config.settings import Settings
from tests.support.compose_policy import EXEMPT, NETWORK, OF_THE_HOST, RULES, as_compose_reads, faults
from tests.support.yaml_files import read_yaml
from tests.unit.config.test_env_example import entries

REPOSITORY: Final = Path(__file__).resolve().parents[3]
WRITTEN: Final[dict[str, Any]] = read_yaml(REPOSITORY / "compose" / "services.yml")
SERVICES: Final[dict[str, dict[str, Any]]] = {
    name: as_compose_reads(copy.deepcopy(service)) for name, service in WRITTEN["services"].items()
}
WORKER, REDIS, NGINX, CERTBOT = (SERVICES[name] for name in ("worker", "redis", "nginx", "certbot"))

EVERY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - nothing listens here

Change = Callable[[dict[str, Any]], Any]

BREAKS: Final[list[tuple[str, str, Change]]] = [
    ("restarts", "redis", lambda it: it.pop("restart")),
    ("restarts", "nginx", lambda it: it.update(restart="always")),
    ("is_limited", "worker", lambda it: it.pop("deploy")),
    ("is_limited", "redis", lambda it: it["deploy"]["resources"]["limits"].pop("pids")),
    ("is_limited", "nginx", lambda it: it["deploy"]["resources"]["limits"].pop("memory")),
    ("is_limited", "certbot", lambda it: it["deploy"]["resources"]["limits"].pop("cpus")),
    ("is_limited", "worker", lambda it: it["deploy"]["resources"]["limits"].update(pids=-1)),
    ("is_limited", "worker", lambda it: it["deploy"]["resources"]["limits"].update(cpus="0")),
    ("is_limited", "worker", lambda it: it["deploy"]["resources"]["limits"].update(cpus="0.00")),
    ("is_limited", "redis", lambda it: it["deploy"]["resources"]["limits"].update(memory="0M")),
    ("gains_no_privilege", "worker", lambda it: it.pop("security_opt")),
    ("gains_no_privilege", "worker", lambda it: it["security_opt"].append("seccomp:unconfined")),
    ("has_no_capability", "redis", lambda it: it.pop("cap_drop")),
    ("has_no_capability", "redis", lambda it: it.update(cap_drop=["NET_RAW"])),
    ("is_not_root", "nginx", lambda it: it.pop("user")),
    ("is_not_root", "nginx", lambda it: it.update(user="0:0")),
    ("is_not_root", "nginx", lambda it: it.update(user="101:0")),
    ("is_not_root", "nginx", lambda it: it.update(user="nginx")),
    ("is_not_root", "nginx", lambda it: it.update(user=101)),
    ("is_read_only", "worker", lambda it: it.pop("read_only")),
    ("writes_in_named_places", "worker", lambda it: it.update(tmpfs=["/scratch"])),
    ("writes_in_named_places", "worker", lambda it: it.update(tmpfs=["/scratch:mode=1777"])),
    ("has_bounded_logs", "certbot", lambda it: it.pop("logging")),
    ("has_bounded_logs", "certbot", lambda it: it["logging"]["options"].pop("max-file")),
    ("is_on_the_network", "redis", lambda it: it.pop("networks")),
    ("is_on_the_network", "redis", lambda it: it["networks"].update(other=None)),
    ("publishes_what_it_may", "redis", lambda it: it.update(ports=[{"published": "6379", "target": 6379}])),
    ("publishes_what_it_may", "worker", lambda it: it.update(ports=[{"target": 8000}])),
    ("publishes_what_it_may", "nginx", lambda it: it["ports"].append({"published": "8080", "target": 8080})),
    ("mounts_what_it_may", "redis", lambda it: it["volumes"].append({"type": "volume", "target": "/anonymous"})),
    (
        "mounts_what_it_may",
        "nginx",
        lambda it: it["volumes"].append(
            {"type": "bind", "source": "/var/run/docker.sock", "target": "/s", "read_only": True}
        ),
    ),
    ("mounts_what_it_may", "nginx", lambda it: it["volumes"][0].update(read_only=False)),
    ("mounts_what_it_may", "nginx", lambda it: it["volumes"][0].update(source=".")),
    ("mounts_what_it_may", "nginx", lambda it: it["volumes"][0].pop("bind")),
    (
        "mounts_what_it_may",
        "redis",
        lambda it: it["volumes"].append(
            {"type": "volume", "source": "certificates", "target": "/certificates", "read_only": True}
        ),
    ),
    ("mounts_what_it_may", "nginx", lambda it: it["volumes"][1].update(read_only=False)),
    ("mounts_what_it_may", "nginx", lambda it: it["volumes"][0].update(source="./redis")),
    ("mounts_what_it_may", "node-exporter", lambda it: it["volumes"][0].update(read_only=False)),
    ("mounts_what_it_may", "docker-socket", lambda it: it["volumes"][2].update(read_only=False)),
    ("mounts_what_it_may", "alloy", lambda it: it["volumes"][1].update(read_only=False)),
    (
        "mounts_what_it_may",
        "alloy",
        lambda it: it["volumes"].append(
            {"type": "bind", "source": "/var/run/docker.sock", "target": "/run/docker.sock", "read_only": True}
        ),
    ),
    (
        "mounts_what_it_may",
        "grafana",
        lambda it: it["volumes"].append(
            {"type": "volume", "source": "docker-api", "target": "/run/docker-api", "read_only": True}
        ),
    ),
    ("checks_its_health", "worker", lambda it: it.pop("healthcheck")),
    ("checks_its_health", "worker", lambda it: it["healthcheck"].update(start_period="10m")),
    ("checks_its_health", "worker", lambda it: it["healthcheck"].update(start_period="1h")),
    ("checks_its_health", "worker", lambda it: it["healthcheck"].update(disable=True)),
    ("checks_its_health", "redis", lambda it: it["healthcheck"].update(test=["CMD", "redis-cli", "ping"])),
    ("checks_its_health", "nginx", lambda it: it["healthcheck"].update(test=["CMD-SHELL", "curl localhost || true"])),
    ("checks_its_health", "nginx", lambda it: it["healthcheck"].update(interval="5m")),
    ("checks_its_health", "nginx", lambda it: it["healthcheck"].pop("interval")),
    ("checks_its_health", "celery-exporter", lambda it: it["healthcheck"].update(test=["CMD", "python", "--version"])),
    ("checks_its_health", "loki", lambda it: it["healthcheck"].update(test=["CMD", "/usr/bin/loki", "-version"])),
    ("waits_for_health", "worker", lambda it: it.pop("depends_on")),
    ("waits_for_health", "nginx", lambda it: it.pop("depends_on")),
    ("waits_for_health", "worker", lambda it: it["depends_on"].update(redis={})),
    ("waits_for_health", "worker", lambda it: it["depends_on"]["redis"].update(condition="service_started")),
    ("waits_for_health", "worker", lambda it: it["depends_on"]["redis"].update(required=False)),
    ("waits_for_health", "nginx", lambda it: it["depends_on"]["worker"].pop("required")),
    ("waits_for_health", "nginx", lambda it: it["depends_on"]["grafana"].update(required=True)),
    ("shows_no_secret", "redis", lambda it: it.update(command=["--requirepass", "${REDIS_PASSWORD}"])),
    ("shows_no_secret", "redis", lambda it: it.update(command=["--requirepass", "written-here"])),
    (
        "shows_no_secret",
        "redis",
        lambda it: it["healthcheck"].update(test=["CMD", "redis-cli", "-a", "$$AUTH"]),
    ),
    ("shows_no_secret", "nginx", lambda it: it.update(labels={"domain": "${DOMAIN}"})),
    ("holds_no_secret", "redis", lambda it: it["environment"].update(REDISCLI_AUTH="written-here")),
    ("holds_no_secret", "redis", lambda it: it["environment"].update(REDISCLI_AUTH="${REDIS_PASSWORD}")),
    ("holds_no_secret", "worker", lambda it: it["environment"].update(OPENAI_API_KEY="${OPENAI_API_KEY-sk-1}")),
    ("shows_no_secret", "redis", lambda it: it.update(command=["--replica", "redis://default:written@elsewhere"])),
    ("holds_no_secret", "worker", lambda it: it["environment"].update(DB_PASS="written-here")),
    ("holds_no_secret", "worker", lambda it: it["environment"].update(redis_password="written-here")),
    ("holds_no_secret", "worker", lambda it: it["environment"].update(LOKI="https://written-here@logs.example.com")),
    ("holds_no_secret", "worker", lambda it: it["environment"].update(REDIS_URL="redis://default:written@redis:6379")),
    (
        "holds_no_secret",
        "grafana",
        lambda it: it["environment"].update(GF_SECURITY_ADMIN_PASSWORD="${GF_SECURITY_ADMIN_PASSWORD:-}"),
    ),
    ("holds_no_secret", "grafana", lambda it: it["environment"].update(GF_SMTP_PASSWORD="${GF_SMTP_PASSWORD:-admin}")),
    ("reads_env_file_as_it_may", "worker", lambda it: it["env_file"][0].update(required=False)),
    ("reads_env_file_as_it_may", "worker", lambda it: it.update(env_file=[".env"])),
    ("reads_env_file_as_it_may", "worker", lambda it: it["env_file"][0].pop("format")),
    ("reads_env_file_as_it_may", "redis", lambda it: it.update(env_file=[{"path": ".env", "format": "raw"}])),
    ("is_pinned_elsewhere", "redis", lambda it: it.update(image="redis:7.4.11-alpine")),
    ("is_pinned_elsewhere", "worker", lambda it: it.update(image="${WORKER_IMAGE:-x}:latest")),
    ("is_pinned_elsewhere", "worker", lambda it: it.update(image="${WORKER_IMAGE:?missing}")),
    ("is_pinned_elsewhere", "worker", lambda it: it.update(image="${REDIS_IMAGE:?missing}:${WORKER_TAG:?missing}")),
    ("is_pinned_elsewhere", "redis", lambda it: it.update(image="${WORKER_IMAGE:?missing}")),
    ("is_pinned_elsewhere", "grafana-whatsapp-webhook", lambda it: it.update(image="${WORKER_IMAGE:?missing}:latest")),
    ("has_only_known_keys", "worker", lambda it: it.update(privileged=True)),
    ("has_only_known_keys", "nginx", lambda it: it.update(network_mode="host")),
    ("has_only_known_keys", "nginx", lambda it: it.update(cap_add=["NET_BIND_SERVICE"])),
    ("has_only_known_keys", "worker", lambda it: it.update(container_name="worker")),
    ("has_only_known_keys", "worker", lambda it: it.update(build=".")),
]
"""Rule, service, and a change to the service that the rule has to notice."""


def broken_rules(services: dict[str, dict[str, Any]]) -> set[tuple[str, str]]:
    """Service and rule."""
    return {(name, rule) for name, rule, _ in faults(services)}


def test_every_service_keeps_every_rule() -> None:
    assert list(faults(SERVICES)) == []


@pytest.mark.parametrize(("rule", "name", "change"), BREAKS)
def test_a_rule_that_is_broken_is_noticed(rule: str, name: str, change: Change) -> None:
    services = copy.deepcopy(SERVICES)
    change(services[name])
    noticed = broken_rules(services)
    assert (name, rule) in noticed
    assert {other for other, _ in noticed} == {name}, "the others are as good as before"


def test_each_rule_is_broken_above() -> None:
    assert {rule for rule, _, _ in BREAKS} == set(RULES)


def test_a_service_that_somebody_adds_is_held_to_the_rules() -> None:
    bare = {"image": "grafana/grafana:latest", "ports": [{"published": "3000", "target": 3000}]}
    noticed = {rule for _, rule in broken_rules({**SERVICES, "grafana": bare})}
    assert noticed >= {"restarts", "is_limited", "is_not_root", "has_no_capability", "has_bounded_logs"}
    assert noticed >= {"publishes_what_it_may", "checks_its_health", "is_pinned_elsewhere", "is_read_only"}


def test_short_forms_are_held_to_the_same_rules() -> None:
    short = {
        **copy.deepcopy(WRITTEN["services"]["worker"]),
        "depends_on": ["redis"],
        "environment": ["OPENAI_API_KEY=written-here"],
        "ports": [8000],
        "volumes": ["/var/run/docker.sock:/var/run/docker.sock:ro"],
        "env_file": ".env",
    }
    assert {rule for _, rule in broken_rules({"worker": as_compose_reads(short)})} == {
        "waits_for_health",
        "holds_no_secret",
        "publishes_what_it_may",
        "mounts_what_it_may",
        "reads_env_file_as_it_may",
    }


@pytest.mark.parametrize(("name", "rule"), EXEMPT)
def test_an_exemption_has_a_reason_and_is_needed(name: str, rule: str) -> None:
    assert len(EXEMPT[name, rule].split()) > 3
    assert RULES[rule](name, SERVICES[name])


def test_the_services_of_the_stories_are_there() -> None:
    assert set(SERVICES) >= {"worker", "redis", "nginx", "certbot"}
    assert set(SERVICES) >= {"prometheus", "grafana", "loki", "alloy", "celery-exporter", "grafana-whatsapp-webhook"}
    assert SERVICES["certbot"]["profiles"] == ["certificates"], "never started by a plain up"
    assert [name for name, service in SERVICES.items() if "profiles" in service] == ["certbot"]


def test_the_network_is_a_bridge_of_this_project_and_the_only_one() -> None:
    assert WRITTEN["networks"] == {NETWORK: {"driver": "bridge"}}, "without a name of its own, two projects are apart"


def test_every_volume_is_declared_and_used() -> None:
    used = {
        mount["source"] for service in SERVICES.values() for mount in service["volumes"] if mount["type"] == "volume"
    }
    assert set(WRITTEN["volumes"]) == used
    assert not any(WRITTEN["volumes"].values()), "without a name of its own, two projects are apart"


def test_every_directory_of_the_bundle_that_is_mounted_is_there() -> None:
    mounts = {
        (name, mount["source"].removeprefix("./"))
        for name, service in SERVICES.items()
        for mount in service["volumes"]
        if mount["type"] == "bind"
    }
    assert mounts > set(OF_THE_HOST)
    assert [source for _, source in mounts - set(OF_THE_HOST) if not (REPOSITORY / source).is_dir()] == []


def test_every_directory_of_the_bundle_that_is_mounted_comes_with_it() -> None:
    names = (REPOSITORY / "scripts" / "lib" / "names.sh").read_text()
    parts = names.split("BUNDLE_PARTS=(", 1)[1].split(")", 1)[0].split()
    mounted = {
        mount["source"].removeprefix("./")
        for service in SERVICES.values()
        for mount in service["volumes"]
        if mount["type"] == "bind" and mount["source"].startswith("./")
    }
    assert mounted - {"metrics"} <= set(parts), "metrics/ is written by the host's scripts"


@pytest.mark.parametrize("mount", OF_THE_HOST)
def test_what_is_mounted_of_the_host_has_a_reason(mount: tuple[str, str]) -> None:
    assert len(OF_THE_HOST[mount].split()) > 3


def test_nobody_but_alloy_and_the_proxy_has_a_way_to_the_engine() -> None:
    ways = {
        name
        for name, service in SERVICES.items()
        for mount in service["volumes"]
        if mount["source"] == "docker-api" or "docker.sock" in mount["source"]
    }
    assert ways == {"alloy", "docker-socket"}


def test_a_monitor_that_is_ill_keeps_no_other_service_from_its_start() -> None:
    needed = {
        other
        for service in SERVICES.values()
        for other, how in service.get("depends_on", {}).items()
        if how.get("required", True)
    }
    assert needed == {"redis"}


def test_a_traceback_of_celery_exporter_does_not_show_the_brokers_password() -> None:
    """loguru, with which it logs, writes the values of variables beside the lines unless it is told not to."""
    assert SERVICES["celery-exporter"]["environment"]["LOGURU_DIAGNOSE"] == "NO"


def test_go_frees_memory_before_the_kernel_takes_it() -> None:
    limits = {
        name: (service["environment"]["GOMEMLIMIT"], service["deploy"]["resources"]["limits"]["memory"])
        for name, service in SERVICES.items()
        if "GOMEMLIMIT" in service.get("environment", {})
    }
    assert set(limits) >= {"prometheus", "grafana", "loki", "alloy", "node-exporter", "redis-exporter"}
    for name, (soft, hard) in limits.items():
        assert 0.85 <= int(soft.removesuffix("MiB")) / int(hard.removesuffix("M")) <= 0.92, name


def test_a_worker_may_finish_its_tasks_before_docker_kills_it() -> None:
    assert WORKER["environment"]["SHUTDOWN_GRACE_SECONDS"] == "320"
    assert WORKER["stop_grace_period"] == "400s"
    assert Settings.model_fields["shutdown_grace_seconds"].default == 320, "one number everywhere"


def test_the_worker_can_be_there_twice() -> None:
    assert not {"container_name", "ports", "volumes"} & {key for key, value in WORKER.items() if value}


def test_process_1_of_the_worker_reaps_and_hands_signals_on() -> None:
    assert WORKER["init"] is True


def test_certbot_is_who_nginx_is_so_that_its_keys_can_be_read() -> None:
    assert CERTBOT["user"] == NGINX["user"]


def test_certificates_are_written_by_certbot_alone() -> None:
    writable = {
        name: {mount["source"] for mount in service["volumes"] if not mount["read_only"]}
        for name, service in SERVICES.items()
    }
    assert {name: volumes for name, volumes in writable.items() if volumes & {"certificates", "acme"}} == {
        "certbot": {"certificates", "acme"}
    }


def test_each_of_the_other_volumes_has_one_writer() -> None:
    writers = Counter(
        mount["source"]
        for service in SERVICES.values()
        for mount in service["volumes"]
        if mount["type"] == "volume" and not mount["read_only"]
    )
    assert set(writers.values()) == {1}


def test_the_worker_is_not_told_what_is_in_the_file_for_others() -> None:
    emptied = {name for name, value in WORKER["environment"].items() if value == ""}
    not_the_workers = set(entries()) - {name.upper() for name in Settings.model_fields} - {"MALLOC_ARENA_MAX"}
    assert emptied == not_the_workers


def test_what_the_health_check_and_nginx_count_on_cannot_be_set_in_the_file() -> None:
    assert (WORKER["environment"]["HOST"], WORKER["environment"]["PORT"]) == (EVERY_ADDRESS, "8000")
    assert WORKER["expose"] == ["8000"]
