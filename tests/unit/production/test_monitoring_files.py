"""The files of the monitoring say what retention, shipping and provisioning need. No real Loki, Alloy or Grafana reads
them here: these are the shapes that their documents and loaders ask for (docs/first-hour.md proves the rest)."""

import configparser
import re
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.tracked import REPOSITORY
from tests.support.yaml_files import read_yaml

MONITORING: Final = REPOSITORY / "monitoring"
SERVICES: Final[dict[str, Any]] = read_yaml(REPOSITORY / "compose" / "services.yml")["services"]
NOTE: Final = (REPOSITORY / "docs" / "notes" / "0128-disk-and-retention.md").read_text(encoding="utf-8")

PROMETHEUS: Final[dict[str, Any]] = read_yaml(MONITORING / "prometheus" / "prometheus.yml")
LOKI: Final[dict[str, Any]] = read_yaml(MONITORING / "loki" / "loki-config.yml")
PROVISIONING: Final = MONITORING / "grafana" / "provisioning"
DATASOURCES: Final[dict[str, Any]] = read_yaml(PROVISIONING / "datasources" / "datasources.yml")
DASHBOARDS: Final[dict[str, Any]] = read_yaml(PROVISIONING / "dashboards" / "dashboards.yml")
GRAFANA: Final = configparser.ConfigParser(interpolation=None)
GRAFANA.read(MONITORING / "grafana" / "grafana.ini")

JOBS: Final[dict[str, Any]] = {job["job_name"]: job for job in PROMETHEUS["scrape_configs"]}

MEBIBYTE: Final = 2**20
DAYS_KEPT: Final = 7


def mounted_at(service: str, path: str) -> list[str]:
    """The volumes of a service below which a path lies."""
    return [
        volume.split(":")[0]
        for volume in SERVICES[service]["volumes"]
        if isinstance(volume, str) and Path(path).is_relative_to(volume.split(":")[1])
    ]


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


# --- Prometheus ------------------------------------------------------------------------------------------------------


def test_every_service_that_has_numbers_is_a_job_under_its_own_name() -> None:
    without = {"redis", "nginx", "certbot", "docker-socket"}
    assert set(JOBS) == (set(SERVICES) - without) | {"site"}


def test_every_replica_of_the_worker_is_asked_by_its_own_address() -> None:
    (found,) = JOBS["worker"]["dns_sd_configs"]
    assert (found["names"], found["type"], found["port"]) == (["worker"], "A", 8000)
    assert seconds(found["refresh_interval"]) < seconds(PROMETHEUS["global"]["scrape_interval"])
    assert "relabel_configs" not in JOBS["worker"], "instance stays the address"


def test_each_job_but_the_workers_asks_the_service_of_its_name() -> None:
    for name, job in JOBS.items():
        hosts = {target.split(":")[0] for each in job.get("static_configs", ()) for target in each["targets"]}
        assert hosts <= {name, {"site": "blackbox-exporter", "prometheus": "localhost"}.get(name, name)}, name


def test_celery_exporter_is_given_the_time_that_it_waits_for_answers() -> None:
    assert seconds(JOBS["celery-exporter"]["scrape_timeout"]) == 10
    assert all(
        seconds(job.get("scrape_timeout", PROMETHEUS["global"]["scrape_timeout"]))
        <= seconds(PROMETHEUS["global"]["scrape_interval"])
        for job in JOBS.values()
    )


def test_the_site_is_probed_over_tls_by_the_hosts_own_name() -> None:
    parameters = JOBS["site"]["params"]
    assert (parameters["hostname"], parameters["target"]) == (["${DOMAIN}"], ["https://nginx/health"])
    module = read_yaml(MONITORING / "blackbox" / "blackbox.yml")["modules"][parameters["module"][0]]
    assert module["http"]["fail_if_not_ssl"]
    assert not module["http"]["tls_config"]["insecure_skip_verify"]
    assert seconds(module["timeout"]) < seconds(JOBS["site"]["scrape_timeout"])


def test_numbers_are_bounded_by_time_and_by_size() -> None:
    start = (MONITORING / "prometheus" / "start.sh").read_text()
    assert re.search(r"RETENTION_TIME=15d$", start, re.MULTILINE)
    assert re.search(r"RETENTION_SIZE=2GB$", start, re.MULTILINE)
    assert '--storage.tsdb.retention.time="$RETENTION_TIME"' in start
    assert '--storage.tsdb.retention.size="$RETENTION_SIZE"' in start
    assert mounted_at("prometheus", "/prometheus") == ["prometheus-data"]


# --- Loki ------------------------------------------------------------------------------------------------------------


def test_what_is_older_than_seven_days_is_really_deleted() -> None:
    """Retention without the compactor's part deletes nothing (grafana/loki #7950, #6300)."""
    (schema,) = LOKI["schema_config"]["configs"]
    assert (schema["store"], schema["schema"], schema["index"]["period"]) == ("tsdb", "v13", "24h")
    assert LOKI["limits_config"]["retention_period"] == f"{DAYS_KEPT * 24}h"
    compactor = LOKI["compactor"]
    assert compactor["retention_enabled"] is True
    assert compactor["delete_request_store"] == schema["object_store"] == "filesystem"
    assert mounted_at("loki", compactor["working_directory"]) == ["loki-data"]


def test_seven_days_of_all_that_is_let_in_fit_the_disks_share() -> None:
    limits = LOKI["limits_config"]
    ratio = int(re.findall(r"at least (\d+) to 1", NOTE)[0])
    share_mib = int(re.findall(r"\| loki \| (\d+) \|", NOTE)[0])
    raw_mib = limits["ingestion_rate_mb"] * 86_400 * DAYS_KEPT
    assert raw_mib / ratio <= share_mib
    assert limits["ingestion_rate_strategy"] == "local"


def test_the_first_deploy_asks_for_all_shares_of_the_disk_together() -> None:
    shares = {name: int(mib) for name, mib in re.findall(r"^\| ([^|]+) \| (\d+) \|$", NOTE, re.MULTILINE)}
    together = shares.pop("together")
    assert sum(shares.values()) == together
    (asked,) = re.findall(r"LEAST_DISK_MIB=(\d+)", (REPOSITORY / "scripts" / "lib" / "host.sh").read_text())
    assert together <= int(asked)


def test_a_burst_is_larger_than_what_alloy_sends_at_once() -> None:
    (batch,) = re.findall(r'batch_size\s+= "(\d+)KiB"', alloy())
    assert LOKI["limits_config"]["ingestion_burst_size_mb"] * 1024 >= 4 * int(batch)


def test_loki_keeps_request_ids_beside_the_line_and_sends_nothing_home() -> None:
    assert LOKI["limits_config"]["allow_structured_metadata"] is True
    assert LOKI["limits_config"]["discover_service_name"] == []
    assert LOKI["limits_config"]["reject_old_samples"] is True
    assert LOKI["analytics"]["reporting_enabled"] is False


def test_everything_that_loki_writes_is_on_its_volume() -> None:
    written = [
        LOKI["common"]["path_prefix"],
        *LOKI["common"]["storage"]["filesystem"].values(),
        LOKI["compactor"]["working_directory"],
        LOKI["ingester"]["wal"]["dir"],
    ]
    assert {volume for path in written for volume in mounted_at("loki", path)} == {"loki-data"}
    assert all(mounted_at("loki", path) for path in written)


def test_what_loki_reads_again_at_its_start_fits_its_memory() -> None:
    (ceiling,) = re.findall(r"(\d+)MB", LOKI["ingester"]["wal"]["replay_memory_ceiling"])
    (limit,) = re.findall(r"(\d+)M", SERVICES["loki"]["deploy"]["resources"]["limits"]["memory"])
    assert int(ceiling) <= int(limit) / 3


# --- Alloy -----------------------------------------------------------------------------------------------------------


def alloy() -> str:
    """Its configuration without comments."""
    return re.sub(r"^\s*//.*$", "", (MONITORING / "alloy" / "config.alloy").read_text(), flags=re.MULTILINE)


def test_a_container_that_has_ended_is_shipped_too() -> None:
    """A filter by status reads logs twice, or not at all, after a restart (grafana/alloy #7036, #691)."""
    assert "status" not in re.findall(r"filter \{(.*?)\}", alloy(), re.DOTALL)[0]
    assert alloy().count("filter {") == 1


def test_how_far_alloy_has_read_outlives_its_container() -> None:
    (storage,) = [word for word in SERVICES["alloy"]["command"] if word.startswith("--storage.path=")]
    assert mounted_at("alloy", storage.partition("=")[2]) == ["alloy-data"]


def test_alloy_asks_the_engine_by_the_guarded_socket_only() -> None:
    hosts = set(re.findall(r'host\s+= "(.*?)"', alloy()))
    (host,) = hosts
    assert mounted_at("alloy", host.removeprefix("unix://")) == ["docker-api"]
    assert mounted_at("docker-socket", host.removeprefix("unix://")) == ["docker-api"]
    assert f"listen {host.replace('unix://', 'unix:')};" in (MONITORING / "docker-socket" / "nginx.conf").read_text()


def test_alloy_writes_to_loki_and_gives_up_in_time() -> None:
    assert re.findall(r'url\s+= "(.*?)"', alloy()) == ["http://loki:3100/loki/api/v1/push"]
    assert int(re.findall(r"max_backoff_retries = (\d+)", alloy())[0]) <= 20


# --- Grafana ---------------------------------------------------------------------------------------------------------


def test_the_data_sources_have_the_uids_that_dashboards_and_rules_name() -> None:
    assert {source["uid"]: source["url"] for source in DATASOURCES["datasources"]} == {
        "prometheus": "http://prometheus:9090",
        "loki": "http://loki:3100",
    }
    assert [source["uid"] for source in DATASOURCES["datasources"] if source.get("isDefault")] == ["prometheus"]
    assert {source["editable"] for source in DATASOURCES["datasources"]} == {False}
    interval = DATASOURCES["datasources"][0]["jsonData"]["timeInterval"]
    assert interval == PROMETHEUS["global"]["scrape_interval"], "or $__rate_interval is too short"


def test_a_request_id_leads_from_a_line_to_every_line_of_the_request_and_to_the_numbers() -> None:
    (loki,) = [source for source in DATASOURCES["datasources"] if source["uid"] == "loki"]
    fields = loki["jsonData"]["derivedFields"]
    assert {field["matcherType"] for field in fields} == {"label"}, "structured metadata, not a pattern in the line"
    lines = [field for field in fields if field.get("datasourceUid") == "loki"]
    assert {field["matcherRegex"] for field in lines} == {"request_id", "session_id"}
    assert all("$${__value.raw}" in field["url"] for field in lines), "a single $ is filled in by Grafana's start"
    assert [field["url"] for field in fields if "datasourceUid" not in field] == ["/grafana/d/wearon-overview"]


def test_dashboards_come_from_files_and_stay_as_they_are_in_them() -> None:
    (provider,) = DASHBOARDS["providers"]
    assert (provider["folder"], provider["folderUid"]) == ("WearOn", "wearon")
    assert (provider["allowUiUpdates"], provider["disableDeletion"]) == (False, True)
    (mount,) = [it for it in SERVICES["grafana"]["volumes"] if not isinstance(it, str)]
    path = Path(provider["options"]["path"]).relative_to(mount["target"])
    assert (REPOSITORY / mount["source"] / path).is_dir()
    environment = SERVICES["grafana"]["environment"]
    for name in ("GF_PATHS_CONFIG", "GF_PATHS_PROVISIONING"):
        assert (REPOSITORY / mount["source"] / Path(environment[name]).relative_to(mount["target"])).exists()


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("server", "serve_from_sub_path", "true"),
        ("server", "root_url", "https://$__env{DOMAIN}/grafana/"),
        ("auth.anonymous", "enabled", "false"),
        ("auth.anonymous", "hide_version", "true"),
        ("users", "allow_sign_up", "false"),
        ("analytics", "reporting_enabled", "false"),
        ("analytics", "check_for_updates", "false"),
        ("analytics", "check_for_plugin_updates", "false"),
        ("news", "news_feed_enabled", "false"),
        ("plugins", "preinstall_disabled", "true"),
        ("security", "cookie_secure", "true"),
        ("snapshots", "external_enabled", "false"),
        ("metrics", "enabled", "true"),
    ],
)
def test_grafana_is_closed_says_nothing_home_and_fetches_nothing(section: str, key: str, value: str) -> None:
    assert GRAFANA[section][key] == value


def test_no_password_is_in_grafanas_file() -> None:
    assert not [key for section in GRAFANA.sections() for key in GRAFANA[section] if "password" in key]


def test_grafanas_health_check_has_the_sub_path() -> None:
    assert SERVICES["grafana"]["healthcheck"]["test"][-1].endswith(":3000/grafana/api/health")
    assert JOBS["grafana"]["metrics_path"] == "/grafana/metrics"


# --- docker-socket ---------------------------------------------------------------------------------------------------

GUARD: Final = re.sub(r"#.*$", "", (MONITORING / "docker-socket" / "nginx.conf").read_text(), flags=re.MULTILINE)


def is_allowed(request: str) -> bool:
    """Whether one of the patterns of the file takes a request line's method and target."""
    patterns = re.findall(r'"~(\^.*?)" yes;', GUARD)
    assert len(patterns) == 3
    return any(re.search(pattern, request) for pattern in patterns)


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /_ping",
        "HEAD /_ping",
        "GET /v1.44/containers/json?all=1&filters=%7B%22label%22%3A%5B%22com.docker.compose.project%22%5D%7D",
        "GET /v1.44/networks?filters=%7B%7D",
        f"GET /v1.44/containers/{'0a' * 32}/json",
        f"GET /v1.44/containers/{'0a' * 32}/logs?follow=1&since=1764400000&stderr=1&stdout=1&timestamps=1",
    ],
)
def test_what_alloy_asks_the_engine_is_let_pass(request_line: str) -> None:
    assert is_allowed(request_line)


@pytest.mark.parametrize(
    "request_line",
    [
        f"POST /v1.44/containers/{'0a' * 32}/start",
        "POST /v1.44/containers/create",
        "POST /v1.44/containers/json",
        f"DELETE /v1.44/containers/{'0a' * 32}",
        f"GET /v1.44/containers/{'0a' * 32}/export",
        f"GET /v1.44/containers/{'0a' * 32}/archive?path=/run/secrets",
        f"GET /v1.44/containers/{'0a' * 32}/json/../export",
        f"GET /v1.44/containers/{'0a' * 32}/%6ason",
        "GET /v1.44/containers/../images/json",
        "GET /v1.44/images/json",
        "GET /v1.44/volumes",
        "GET /v1.44/secrets",
        "GET /v1.44/events",
        "GET /containers/json HTTP/1.1\nPOST /containers/create",
    ],
)
def test_nothing_else_is(request_line: str) -> None:
    assert not is_allowed(request_line)


def test_the_guard_listens_for_others_on_no_port() -> None:
    assert re.findall(r"listen\s+(\S+);", GUARD) == ["unix:/run/docker-api/docker.sock", "127.0.0.1:8080"]
    assert "ports" not in SERVICES["docker-socket"]
    assert SERVICES["docker-socket"]["healthcheck"]["test"][-1] == "http://127.0.0.1:8080/healthy"
    assert re.search(r"location = /healthy \{\s+proxy_pass http://engine/_ping;", GUARD), "asks the engine"
