"""What the plain command brings up, as the real Compose reads it in a host's directory; no engine is asked."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.compose_policy import as_compose_reads, faults
from tests.support.production_bundle import (
    COMPOSE,
    HOST_VALUES,
    STACK,
    TAG,
    ComposeRefused,
    compose,
    environment,
    lay_out,
    services,
    write_env,
)
from tests.support.yaml_files import read_yaml

MEBIBYTE: Final = 1024 * 1024


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A host's directory with everything in it."""
    return lay_out(tmp_path / "wearon")


def written(home: Path) -> dict[str, Any]:
    """The stack as Compose reads it, with nothing filled in."""
    flags = ("--no-interpolate", "--no-env-resolution", "--no-path-resolution", "--format", "json")
    read: dict[str, Any] = json.loads(compose(home, "--profile", "*", "config", *flags).stdout)
    return read


def hashes(home: Path, **exported: str) -> dict[str, str]:
    """Of each service's configuration; ``up`` replaces a container whose own is another one."""
    return dict(line.split() for line in compose(home, "config", "--hash", "*", exported=exported).stdout.splitlines())


def replaced(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """The services that ``up`` would replace."""
    return {name for name in before if before[name] != after[name]}


def test_the_plain_command_starts_every_service_but_certbot_and_says_nothing(home: Path) -> None:
    started = compose(home, "config", "--services")
    written_ones = set(read_yaml(home / "compose" / "services.yml")["services"])
    assert (set(started.stdout.split()), started.stderr) == (written_ones - {"certbot"}, "")


def test_a_link_named_as_compose_looks_for_it_is_the_same_stack_without_a_flag(home: Path) -> None:
    (home / "compose.yaml").symlink_to(STACK)
    plain = subprocess.run(
        [COMPOSE, "config", "--hash", "*"],
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert dict(line.split() for line in plain.stdout.splitlines()) == hashes(home)


def test_the_project_is_wearon_wherever_the_directory_is(home: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    moved = home.rename(tmp_path / "elsewhere" / "host-b")
    assert json.loads(compose(moved, "config", "--format", "json").stdout)["name"] == "wearon"


def test_compose_reads_no_other_service_than_are_written_and_each_keeps_the_rules(home: Path) -> None:
    read = written(home)
    in_the_file = read_yaml(home / "compose" / "services.yml")
    assert set(read["services"]) == set(in_the_file["services"])
    assert list(faults({name: as_compose_reads(service) for name, service in read["services"].items()})) == []


def test_a_rule_that_is_broken_in_the_file_is_broken_in_what_compose_reads(home: Path) -> None:
    file = home / "compose" / "services.yml"
    file.write_text(file.read_text().replace("cap_drop: [ALL]", "cap_drop: [NET_RAW]"))
    read = {name: as_compose_reads(service) for name, service in written(home)["services"].items()}
    assert {(name, rule) for name, rule, _ in faults(read)} == {(name, "has_no_capability") for name in read}


def test_images_come_from_versions_env_and_the_workers_tag_from_release_env(home: Path) -> None:
    pins = dict(line.split("=", 1) for line in (home / "versions.env").read_text().splitlines() if line[:1].isupper())
    images = {name: service["image"] for name, service in services(home).items()}
    assert images["worker"] == f"{pins['WORKER_IMAGE']}:{TAG}"
    assert images["redis"] == pins["REDIS_IMAGE"]
    assert images["nginx"] == pins["NGINX_IMAGE"]
    assert images["certbot"] == pins["CERTBOT_IMAGE"]
    assert images["grafana-whatsapp-webhook"] == f"{pins['WORKER_IMAGE']}-whatsapp-bridge:{TAG}"
    assert {image for image in images.values() if ":" in image} >= {
        pin for name, pin in pins.items() if name not in ("WORKER_IMAGE", "PSQL_IMAGE")
    }


def test_the_shell_wins_over_env_and_env_over_the_files_of_the_release(tmp_path: Path) -> None:
    home = lay_out(tmp_path / "wearon", NGINX_IMAGE="nginx:1.30.9-alpine", WORKER_IMAGE="registry.example.com/worker")
    read = services(home, exported={"WORKER_TAG": "next", "NGINX_IMAGE": "nginx:1.31.9-alpine"})
    assert read["worker"]["image"] == "registry.example.com/worker:next"
    assert read["nginx"]["image"] == "nginx:1.31.9-alpine"
    assert services(home)["nginx"]["image"] == "nginx:1.30.9-alpine"


def test_another_tag_replaces_the_worker_and_the_bridge_and_nothing_else(home: Path) -> None:
    assert replaced(hashes(home), hashes(home, WORKER_TAG="next")) == {"worker", "grafana-whatsapp-webhook"}


@pytest.mark.parametrize(
    ("name", "readers"),
    [
        ("GF_SECURITY_ADMIN_PASSWORD", {"grafana"}),
        ("WHATSAPP_WEBHOOK_SECRET", {"grafana", "grafana-whatsapp-webhook"}),
        ("WHATSAPP_ACCESS_TOKEN", {"grafana-whatsapp-webhook"}),
        ("CERTBOT_EMAIL", set()),
        ("DOMAIN", {"nginx", "grafana", "prometheus"}),
        ("REDIS_PASSWORD", {"redis", "redis-exporter"}),
        ("CELERY_BROKER_URL", {"worker", "celery-exporter"}),
        ("OPENAI_API_KEY", {"worker"}),
    ],
)
def test_a_new_value_replaces_only_who_reads_it(home: Path, name: str, readers: set[str]) -> None:
    before = hashes(home)
    write_env(home, {**HOST_VALUES, name: "another"})
    assert replaced(before, hashes(home)) == readers


@pytest.mark.parametrize("name", ["DOMAIN", "REDIS_PASSWORD", "GF_SECURITY_ADMIN_PASSWORD", "WHATSAPP_WEBHOOK_SECRET"])
def test_a_missing_setting_stops_everything_and_is_named_with_its_file(home: Path, name: str) -> None:
    kept = [line for line in (home / ".env").read_text().splitlines() if not line.startswith(f"{name}=")]
    (home / ".env").write_text("\n".join(kept) + "\n")
    with pytest.raises(ComposeRefused, match=rf"{name} is missing in \.env"):
        services(home)


@pytest.mark.parametrize("file", ["release.env", "versions.env", ".env"])
def test_a_missing_file_stops_everything_and_is_named(home: Path, file: str) -> None:
    (home / file).unlink()
    with pytest.raises(ComposeRefused, match=file.replace(".", r"\.")):
        services(home)


def test_an_empty_release_says_who_writes_the_tag(home: Path) -> None:
    (home / "release.env").write_text("")
    with pytest.raises(ComposeRefused, match=r"WORKER_TAG is missing; scripts/first-deploy\.sh"):
        services(home)


def test_redis_gets_its_password_and_nginx_its_name_and_nothing_more(home: Path) -> None:
    read = services(home)
    assert environment(read["redis"]) == {"REDISCLI_AUTH": HOST_VALUES["REDIS_PASSWORD"]}
    assert environment(read["nginx"]) == {"DOMAIN": HOST_VALUES["DOMAIN"]}
    assert environment(read["certbot"]) == {}


def test_the_worker_gets_its_settings_and_the_fixed_ones_whatever_the_file_says(tmp_path: Path) -> None:
    home = lay_out(
        tmp_path / "wearon", SHUTDOWN_GRACE_SECONDS="30", PORT="9", LOG_LEVEL="DEBUG", HTTPS_PROXY="http://p"
    )
    got = environment(services(home)["worker"])
    assert (got["SHUTDOWN_GRACE_SECONDS"], got["PORT"], got["HOST"]) == ("320", "8000", "0.0.0.0")  # noqa: S104
    assert (got["LOG_LEVEL"], got["HTTPS_PROXY"]) == ("DEBUG", "http://p"), "what else is in the file arrives"
    assert got["OPENAI_API_KEY"] == HOST_VALUES["OPENAI_API_KEY"]
    assert got["REDIS_PASSWORD"] == ""


def test_no_secret_is_where_a_process_list_or_another_container_shows_it(home: Path) -> None:
    names = ("REDIS_PASSWORD", "OPENAI_API_KEY", "SUPABASE_SERVICE_ROLE_KEY", "GF_SECURITY_ADMIN_PASSWORD")
    secrets = [HOST_VALUES[name] for name in (*names, "WHATSAPP_WEBHOOK_SECRET")]
    shown = [
        json.dumps({key: value for key, value in service.items() if key != "environment"})
        for service in services(home).values()
    ]
    assert [secret for secret in secrets for text in shown if secret in text] == []


def test_limits_arrive_as_numbers(home: Path) -> None:
    limits = services(home)["worker"]["deploy"]["resources"]["limits"]
    assert (int(limits["memory"]) // MEBIBYTE, limits["cpus"], limits["pids"]) == (896, 1.75, 1500)


def test_alerts_go_nowhere_rather_than_keep_the_stack_from_starting_without_whatsapp_or_mail(home: Path) -> None:
    read = services(home)
    assert environment(read["grafana-whatsapp-webhook"])["WHATSAPP_ACCESS_TOKEN"] == ""
    assert environment(read["grafana"])["GF_SMTP_ENABLED"] == "false"
    assert "@" in environment(read["grafana"])["ALERT_EMAIL_TO"], "a contact point without an address stops Grafana"


def test_a_bundle_without_nginx_configuration_is_no_reason_to_make_an_empty_one(home: Path) -> None:
    (mount,) = [it for it in written(home)["services"]["nginx"]["volumes"] if it["type"] == "bind"]
    assert mount["bind"] == {"create_host_path": False}


def test_another_project_of_the_same_files_has_a_network_and_volumes_of_its_own(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "second")
    names = [
        {part["name"] for kind in ("networks", "volumes") for part in read[kind].values()}
        for read in (
            json.loads(compose(home, "config", "--format", "json").stdout),
            json.loads(compose(tmp_path / "second", "-p", "second", "config", "--format", "json").stdout),
        )
    ]
    assert names[0] >= {"wearon_wearon-net", "wearon_redis-data"}
    assert not names[0] & names[1]
