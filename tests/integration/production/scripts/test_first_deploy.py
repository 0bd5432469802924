"""scripts/first-deploy.sh on stand-ins: what it looks at first, what it makes, and that it can be run again."""

import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.script_host import ANSWERS, DOMAIN, REPOSITORY, Finished, ScriptHost, steps_of


def settings(host: ScriptHost) -> dict[str, str]:
    lines = (host.home / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def deployed(fresh_host: ScriptHost) -> ScriptHost:
    done = fresh_host.first_deploy()
    assert done.status == 0, done.said
    return fresh_host


def test_a_fresh_machine_ends_with_the_whole_stack_and_a_certificate(deployed: ScriptHost) -> None:
    assert sorted(c["service"] for c in deployed.state["containers"].values()) == ["nginx", "redis", "worker"]
    assert [kind for kind, _server in deployed.state["orders"]] == ["rehearsal", "real"]
    assert deployed.state["https"]
    assert (deployed.home / "release.env").read_text() == "WORKER_TAG=v1\n"
    assert (deployed.home / "compose.yaml").readlink() == Path("docker-compose.prod.yml"), "for plain `docker compose`"
    assert "0 3 * * * root" in (deployed.folder / "cron.d" / "wearon").read_text()


def test_settings_are_complete_and_only_root_reads_them(deployed: ScriptHost) -> None:
    written = settings(deployed)
    assert written | ANSWERS | {"DOMAIN": DOMAIN} == written
    assert written["REDIS_URL"] == f"redis://default:{written['REDIS_PASSWORD']}@redis:6379/0"
    for key in ("REDIS_PASSWORD", "GF_SECURITY_ADMIN_PASSWORD", "WHATSAPP_WEBHOOK_SECRET"):
        assert len(written[key]) == 32
        assert set(written[key]) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    assert stat.S_IMODE((deployed.home / ".env").stat().st_mode) == 0o600


def test_a_second_run_changes_nothing(deployed: ScriptHost) -> None:
    state, files = deployed.state, deployed.files()
    done = deployed.first_deploy()
    assert done.status == 0, done.said
    assert deployed.state == state
    assert deployed.files() == files


@pytest.mark.parametrize("step", steps_of("first-deploy.sh"))
def test_killed_after_any_step_the_next_run_ends_well(fresh_host: ScriptHost, step: str) -> None:
    killed = fresh_host.first_deploy(WEARON_FAIL_AFTER=step)
    assert killed.killed, killed.said
    done = fresh_host.first_deploy()
    assert done.status == 0, done.said
    assert [kind for kind, _server in fresh_host.state["orders"]].count("real") == 1
    assert fresh_host.state["started"] == 3
    assert settings(fresh_host) | ANSWERS == settings(fresh_host)


def test_down_up_and_again_five_times_make_one_order(deployed: ScriptHost) -> None:
    for _ in range(5):
        deployed.save(containers={}, had_healthy_worker=False)
        done = deployed.first_deploy()
        assert done.status == 0, done.said
    assert [kind for kind, _server in deployed.state["orders"]] == ["rehearsal", "real"]


def spoil_system(host: ScriptHost) -> None:
    (host.folder / "os-release").write_text('ID=alpine\nVERSION_ID="3.22"\n')


def spoil_memory(host: ScriptHost) -> None:
    (host.folder / "meminfo").write_text("MemTotal:        2000000 kB\n")


FAULTS: dict[str, tuple[Callable[[ScriptHost], None], str]] = {
    "system": (spoil_system, "This host is alpine 3.22"),
    "memory": (spoil_memory, "This host has 1953 MiB of memory"),
    "port": (lambda host: host.save(ports={"80": "LISTEN apache2"}), "Port 80 is taken: LISTEN apache2"),
    "clock": (lambda host: host.save(clock_error_seconds=300), "The clock is"),
    "no record": (lambda host: host.save(dns={"A": [], "AAAA": []}), "neither an A nor an AAAA record"),
    "another A": (lambda host: host.save(dns={"A": ["198.51.100.1"]}), "has the A record 198.51.100.1, which is not"),
    "stale AAAA": (
        lambda host: host.save(dns={"A": ["203.0.113.7"], "AAAA": ["2001:db8::1"]}),
        "has the AAAA record 2001:db8::1, which is not",
    ),
    "disk": (lambda host: host.save(disk_free_mib=3000), "has 3000 MiB free"),
    "key": (lambda host: host.save(docker_installed=False, docker_key="0" * 40), "is not Docker's"),
    "image": (lambda host: host.save(registry=[]), "An image could not be had"),
    "container DNS": (lambda host: host.save(resolves=[]), "A container cannot resolve"),
    "worker": (lambda host: host.save(health_of_tag={"v1": "unhealthy"}), "Not everything got well"),
    "authority": (lambda host: host.save(authority_refuses=True), "gave no certificate"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_said_once_with_what_to_do(fresh_host: ScriptHost, fault: str) -> None:
    spoil, words = FAULTS[fault]
    spoil(fresh_host)
    done = fresh_host.first_deploy()
    assert done.status != 0
    assert words in done.stderr
    assert done.stderr.count("STOP") == 1, done.stderr


@pytest.mark.parametrize("fault", ["system", "memory", "port", "clock", "no record", "another A", "stale AAAA"])
def test_what_is_wrong_outside_is_found_before_anything_is_changed(fresh_host: ScriptHost, fault: str) -> None:
    FAULTS[fault][0](fresh_host)
    fresh_host.first_deploy()
    assert not fresh_host.home.exists()
    assert fresh_host.state["packages"] == []


def test_a_host_behind_nat_is_told_its_address(fresh_host: ScriptHost) -> None:
    fresh_host.save(addresses=["10.0.0.5"])
    assert "behind NAT say --address 203.0.113.7" in fresh_host.first_deploy().stderr
    done = fresh_host.first_deploy("--address", "203.0.113.7")
    assert done.status == 0, done.said


def test_docker_is_installed_from_dockers_repository_where_it_is_missing(fresh_host: ScriptHost) -> None:
    fresh_host.save(docker_installed=False)
    done = fresh_host.first_deploy()
    assert done.status == 0, done.said
    assert {"docker-ce", "docker-compose-plugin"} <= set(fresh_host.state["packages"])
    source = (fresh_host.folder / "apt" / "sources.list.d" / "docker.list").read_text()
    assert source.endswith("https://download.docker.com/linux/debian bookworm stable\n")


def asked(host: ScriptHost, answers: str) -> Finished:
    return host.run("first-deploy.sh", DOMAIN, stdin=answers, WEARON_ANSWERS_FROM_STDIN="yes")


def test_what_is_missing_is_asked_for_and_a_refused_answer_is_asked_for_again(fresh_host: ScriptHost) -> None:
    done = asked(fresh_host, "ops@wearon.example\nhttps://x.supabase.co\neyJ-key\nwith$dollar\nsk-right\nv1\n")
    assert done.status == 0, done.said
    assert settings(fresh_host)["OPENAI_API_KEY"] == "sk-right"
    assert "OPENAI_API_KEY has a $" in done.stderr


def test_no_secret_is_shown_or_stands_in_a_process_list(fresh_host: ScriptHost) -> None:
    done = asked(fresh_host, "ops@wearon.example\nhttps://x.supabase.co\neyJ-key\nsk-right\nv1\n")
    written = settings(fresh_host)
    made = ("REDIS_PASSWORD", "GF_SECURITY_ADMIN_PASSWORD", "WHATSAPP_WEBHOOK_SECRET")
    secrets = ["eyJ-key", "sk-right", *(written[name] for name in made)]
    shown = done.said + "\n".join(fresh_host.calls)
    assert [secret for secret in secrets if secret in shown] == []


def test_with_nobody_to_ask_it_says_which_setting_is_missing(fresh_host: ScriptHost) -> None:
    done = fresh_host.first_deploy(OPENAI_API_KEY="")
    assert done.status != 0
    assert "OPENAI_API_KEY is missing" in done.stderr


def test_a_setting_that_is_there_is_never_changed(fresh_host: ScriptHost) -> None:
    fresh_host.first_deploy(WEARON_FAIL_AFTER="files")
    (fresh_host.home / ".env").write_text("# mine\nOPENAI_API_KEY=sk-mine\nREDIS_PASSWORD=mine")
    done = fresh_host.first_deploy()
    assert done.status == 0, done.said
    assert (fresh_host.home / ".env").read_text().startswith("# mine\nOPENAI_API_KEY=sk-mine\nREDIS_PASSWORD=mine\n")


def test_another_tag_than_the_one_in_force_is_left_to_deploy(deployed: ScriptHost) -> None:
    done = deployed.run("first-deploy.sh", "--tag", "v2", DOMAIN, **ANSWERS)
    assert done.status != 0
    assert "scripts/deploy.sh v2" in done.stderr


def test_a_monitor_that_is_ill_does_not_keep_the_host_from_its_certificate(fresh_host: ScriptHost) -> None:
    fresh_host.save(monitors={"loki": "unhealthy"})
    done = fresh_host.first_deploy()
    assert done.status == 0, done.said
    assert fresh_host.state["https"]
    assert "alerts may be missing: loki" in done.stderr


def test_it_ends_with_the_way_to_grafana_and_the_place_of_the_password(fresh_host: ScriptHost) -> None:
    done = fresh_host.first_deploy()
    assert f"Grafana: https://{DOMAIN}/grafana/, user admin; its password is GF_SECURITY_ADMIN_PASSWORD in" in done.said


def test_the_versions_of_dockers_api_are_told(fresh_host: ScriptHost) -> None:
    said = fresh_host.first_deploy().said
    assert "Docker's API: 1.54 down to 1.40; this client speaks 1.54" in said


def lines_of_the_example() -> dict[str, str]:
    lines = (REPOSITORY / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_a_copy_of_the_example_is_refused_with_every_key_that_has_to_be_filled_in(fresh_host: ScriptHost) -> None:
    fresh_host.make_bundle(fresh_host.home)
    shutil.copy(REPOSITORY / ".env.example", fresh_host.home / ".env")
    done = fresh_host.first_deploy()
    assert done.status != 0
    [stop] = [line for line in done.stderr.splitlines() if line.startswith("STOP")]
    for key in ("REDIS_PASSWORD", "GF_SECURITY_ADMIN_PASSWORD", "WHATSAPP_WEBHOOK_SECRET", "REDIS_URL"):
        assert key in stop
    for key in ("SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "OPENAI_API_KEY"):
        assert key in stop
    assert "remove the line and run first-deploy.sh" in stop
    assert (fresh_host.home / ".env").read_bytes() == (REPOSITORY / ".env.example").read_bytes()
    assert fresh_host.workers() == []


def test_every_secret_of_the_example_that_a_host_needs_is_known_for_a_placeholder(fresh_host: ScriptHost) -> None:
    fresh_host.make_bundle(fresh_host.home)
    filled_in = ANSWERS | {"DOMAIN": DOMAIN}
    placeholders = {key: value for key, value in lines_of_the_example().items() if filled_in.get(key) != value}
    never_needed = {name for name in placeholders if name.startswith("WHATSAPP_")} - {"WHATSAPP_WEBHOOK_SECRET"}
    for key in placeholders.keys() - never_needed:
        text = "".join(f"{name}={value}\n" for name, value in (filled_in | {key: placeholders[key]}).items())
        (fresh_host.home / ".env").write_text(text)
        done = fresh_host.first_deploy()
        assert f"for development: {key}." in done.stderr


def test_without_the_lines_of_the_example_the_settings_are_made_and_asked_for(fresh_host: ScriptHost) -> None:
    fresh_host.make_bundle(fresh_host.home)
    refused = {"SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "OPENAI_API_KEY", "REDIS_PASSWORD", "REDIS_URL"}
    refused |= {"CERTBOT_EMAIL", "GF_SECURITY_ADMIN_PASSWORD", "WHATSAPP_WEBHOOK_SECRET"}
    kept = {key: value for key, value in lines_of_the_example().items() if key not in refused}
    (fresh_host.home / ".env").write_text("".join(f"{key}={value}\n" for key, value in kept.items()))
    done = fresh_host.first_deploy()
    assert done.status == 0, done.said
    assert settings(fresh_host)["GF_SECURITY_ADMIN_PASSWORD"] != "change-me"


def test_a_dry_run_claims_nothing_that_was_not_done(fresh_host: ScriptHost) -> None:
    done = fresh_host.first_deploy("--dry-run")
    assert done.status == 0, done.said
    assert done.stdout.splitlines()[-1] == f"would end with a host that serves {DOMAIN}; nothing was changed"
    assert not any(words in done.said for words in ("This host runs", "Grafana: https", "ok    files"))


def test_dry_run_touches_nothing(fresh_host: ScriptHost) -> None:
    before = fresh_host.state
    fresh_host.save(docker_installed=False)
    before["docker_installed"] = False
    done = fresh_host.first_deploy("--dry-run")
    assert done.status == 0, done.said
    assert "would make" in done.stdout
    assert not fresh_host.home.exists()
    assert list((fresh_host.folder / "cron.d").iterdir()) == []
    assert list((fresh_host.folder / "commands").iterdir()) == []
    assert fresh_host.state == before


@pytest.mark.parametrize("name", ["localhost", "Worker.example.com", "https://x.y", "a..b", "-a.b", "x.y/z", "a b.c"])
def test_what_is_no_host_name_is_refused(fresh_host: ScriptHost, name: str) -> None:
    done = fresh_host.run("first-deploy.sh", name)
    assert done.status in (2, 3)
    assert fresh_host.calls == []
