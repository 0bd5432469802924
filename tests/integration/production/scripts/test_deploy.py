"""scripts/deploy.sh on stand-ins: the order of what it does, and every way in which it can end."""

import fcntl
import os

import pytest

from tests.support.edge import wait_until
from tests.support.script_host import REPOSITORY, ScriptHost, shell, steps_of

RELEASE = "WORKER_TAG={}\n"


def in_force(host: ScriptHost) -> str:
    return (host.home / "release.env").read_text()


def test_the_old_worker_is_stopped_only_when_the_new_one_is_healthy_and_in_force(host: ScriptHost) -> None:
    [old] = (i for i, c in host.state["containers"].items() if c["service"] == "worker")
    done = host.run("deploy.sh", "v2")
    assert done.status == 0, done.said
    assert in_force(host) == RELEASE.format("v2")
    assert [worker["tag"] for worker in host.workers()] == ["v2"]
    assert host.state["stopped"] == [old]
    assert host.state.get("moments_without_healthy_worker", 0) == 0
    mutating = [call for call in host.calls if call.split()[-1] != "worker" or " up " in call or " pull " in call]
    order = [
        next(number for number, call in enumerate(mutating) if words in call)
        for words in (
            "pull worker",
            "--no-recreate --scale worker=2 worker",
            "docker stop",
            "--scale worker=1",
            "up -d --wait",
        )
    ]
    assert order == sorted(order)


def test_it_calls_what_the_pipeline_promises_to_the_letter(host: ScriptHost) -> None:
    host.run("deploy.sh", "v2")
    assert "docker compose -f docker-compose.prod.yml pull worker" in host.calls
    assert host.calls[-1] == "docker compose -f docker-compose.prod.yml up -d --wait"


def test_a_second_run_changes_nothing(host: ScriptHost) -> None:
    host.run("deploy.sh", "v2")
    containers, files = host.state["containers"], host.files()
    done = host.run("deploy.sh", "v2")
    assert done.status == 0, done.said
    assert (host.state["containers"], host.files()) == (containers, files)


@pytest.mark.parametrize("step", steps_of("deploy.sh"))
def test_killed_after_any_step_a_plain_up_does_no_harm_and_the_next_run_ends_well(host: ScriptHost, step: str) -> None:
    killed = host.run("deploy.sh", "v2", WEARON_FAIL_AFTER=step)
    assert killed.killed, killed.said
    assert host.state.get("moments_without_healthy_worker", 0) == 0
    assert any(worker["health"] == "healthy" for worker in host.workers())

    done = host.run("deploy.sh", "v2")
    assert done.status == 0, done.said
    assert in_force(host) == RELEASE.format("v2")
    assert [worker["tag"] for worker in host.workers()] == ["v2"]
    assert host.state.get("moments_without_healthy_worker", 0) == 0


@pytest.mark.parametrize("health", ["unhealthy", "dies"])
def test_a_newcomer_that_is_not_well_is_shown_and_removed_and_the_old_one_stays(host: ScriptHost, health: str) -> None:
    before = host.state["containers"]
    host.save(health_of_tag={"v2": health})
    done = host.run("deploy.sh", "v2")
    assert done.status != 0
    assert "cannot_start: OPENAI_API_KEY is refused" in done.stderr
    assert "health check: 1 worker degraded: redis" in done.stderr
    assert done.stderr.count("STOP") == 1
    assert host.state["containers"] == before
    assert in_force(host) == RELEASE.format("v1")


def test_one_that_never_decides_is_given_up_when_its_time_is_over(host: ScriptHost) -> None:
    before = host.state["containers"]
    host.save(health_of_tag={"v2": "starting"})
    done = host.run("deploy.sh", "v2", WEARON_HEALTHY_WITHIN_SECONDS="1")
    assert done.status != 0
    assert host.state["containers"] == before


def test_a_tag_that_is_nowhere_changes_nothing(host: ScriptHost) -> None:
    before, files = host.state["containers"], host.files()
    done = host.run("deploy.sh", "v9")
    assert done.status != 0
    assert "neither in the registry nor here" in done.stderr
    assert (host.state["containers"], host.files()) == (before, files)


def test_rollback_goes_to_the_tag_before_also_without_a_registry(host: ScriptHost) -> None:
    host.run("deploy.sh", "v2")
    host.save(registry=[])
    done = host.run("deploy.sh", "rollback")
    assert done.status == 0, done.said
    assert in_force(host) == RELEASE.format("v1")
    assert [worker["tag"] for worker in host.workers()] == ["v1"]


def test_rollback_without_an_earlier_tag_says_so(host: ScriptHost) -> None:
    done = host.run("deploy.sh", "rollback")
    assert done.status != 0
    assert "Say which one: deploy.sh TAG" in done.stderr


def test_without_a_tag_changed_settings_are_taken_over_by_a_new_worker(host: ScriptHost) -> None:
    [before] = (i for i, c in host.state["containers"].items() if c["service"] == "worker")
    with (host.home / ".env").open("a") as file:
        file.write("LOG_LEVEL=DEBUG\n")
    done = host.run("deploy.sh")
    assert done.status == 0, done.said
    [after] = (i for i, c in host.state["containers"].items() if c["service"] == "worker")
    assert before != after
    assert host.state.get("moments_without_healthy_worker", 0) == 0


def test_the_digest_is_recorded(host: ScriptHost) -> None:
    host.run("deploy.sh", "v2")
    time, tag, digest = (host.home / "deploys.log").read_text().splitlines()[-1].split()
    assert time.endswith("Z")
    assert tag == "v2"
    assert digest.startswith("sha256:")


def test_the_last_three_tags_are_kept_and_no_volume_is_touched(host: ScriptHost) -> None:
    host.save(registry=["v1", "v2", "v3", "v4", "v5"], images=["v1", "stray"])
    for tag in ("v2", "v3", "v4", "v5"):
        done = host.run("deploy.sh", tag)
        assert done.status == 0, done.said
    assert sorted(host.state["images"]) == ["v3", "v4", "v5"]
    assert not any("volume" in call or "prune" in call for call in host.calls)


def test_a_build_whose_tag_went_to_a_newer_one_is_removed_by_its_id(host: ScriptHost) -> None:
    host.save(untagged=["sha256:0000aaaa"])
    done = host.run("deploy.sh", "v2")
    assert done.status == 0, done.said
    assert host.state["untagged"] == []


def release_with_notes(host: ScriptHost, tag: str, changelog: str) -> None:
    bundle = host.folder / "bundles" / tag
    host.make_bundle(bundle)
    (bundle / "CHANGELOG.md").write_text(changelog)


def test_the_changes_between_the_two_releases_are_printed(host: ScriptHost) -> None:
    release_with_notes(
        host,
        "v3",
        "# Changes\n\n## Unreleased\n\n- unborn\n\n## v3 (2026-11-30)\n\n- third\n\n"
        "## v2\n\n- second\n\n## v1\n\n- first\n",
    )
    said = host.run("deploy.sh", "v3").stdout
    assert "third" in said
    assert "second" in said
    assert "first" not in said
    assert "unborn" not in said


def test_a_tag_without_a_heading_is_told_what_is_unreleased(host: ScriptHost) -> None:
    release_with_notes(host, "v2", "# Changes\n\n## Unreleased\n\n- unborn\n\n## v1\n\n- first\n")
    said = host.run("deploy.sh", "v2").stdout
    assert "unborn" in said
    assert "first" not in said


@pytest.mark.parametrize("options", [(), ("--dry-run",), ("--with-bundle",), ("--dry-run", "--with-bundle")], ids=str)
def test_the_notes_are_the_wanted_releases_and_not_those_that_lie_on_the_host(
    host: ScriptHost, options: tuple[str, ...]
) -> None:
    (host.home / "CHANGELOG.md").write_text("# Changes\n\n## Unreleased\n\n- old news\n\n## v1\n\n- first\n")
    release_with_notes(host, "v2", "# Changes\n\n## v2\n\n- second\n\n## v1\n\n- first\n")
    said = host.run("deploy.sh", *options, "v2").stdout
    assert "What v2 asks of the operator, after v1" in said
    assert "second" in said
    assert "first" not in said
    assert "old news" not in said


@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=str)
def test_notes_that_cannot_be_had_are_said_to_be_unknown(host: ScriptHost, options: tuple[str, ...]) -> None:
    done = host.run("deploy.sh", *options, "v2")
    assert done.status == 0, done.said
    assert "What v2 asks of the operator is not known" in done.stderr
    assert "asks of the operator, after" not in done.said


@pytest.mark.parametrize("options", [(), ("--with-bundle",), ("--dry-run",)], ids=str)
def test_a_rollback_asks_for_nothing(host: ScriptHost, options: tuple[str, ...]) -> None:
    release_with_notes(host, "v1", "# Changes\n\n## v1\n\n- first\n")
    release_with_notes(host, "v2", "# Changes\n\n## v2\n\n- second\n\n## v1\n\n- first\n")
    host.run("deploy.sh", "--with-bundle", "v2")
    done = host.run("deploy.sh", *options, "rollback")
    assert done.status == 0, done.said
    assert "asks of the operator" not in done.said


def test_a_monitor_that_is_ill_is_named_and_the_deploy_has_succeeded(host: ScriptHost) -> None:
    host.save(monitors={"grafana": "healthy", "loki": "unhealthy", "alloy": "no image"})
    done = host.run("deploy.sh", "v2")
    assert done.status == 0, done.said
    assert in_force(host) == RELEASE.format("v2")
    assert [worker["health"] for worker in host.workers()] == ["healthy"]
    assert "loki" in done.stderr
    assert "unhealthy" in done.stderr
    assert "alloy has no container" in done.stderr
    assert "alerts may be missing: loki, alloy. Mend the cause" in done.stderr
    assert host.state.get("moments_without_healthy_worker", 0) == 0


def test_nginx_is_brought_up_before_anything_that_it_would_wait_for(host: ScriptHost) -> None:
    host.run("deploy.sh", "v2")
    ups = [call for call in host.calls if " up " in call]
    assert ups[-2:] == [
        "docker compose -f docker-compose.prod.yml up -d --no-deps nginx",
        "docker compose -f docker-compose.prod.yml up -d --wait",
    ]


def test_secrets_that_a_new_part_needs_are_made_before_compose_asks_for_them(host: ScriptHost) -> None:
    kept = [line for line in (host.home / ".env").read_text().splitlines() if not line.startswith("WHATSAPP_")]
    (host.home / ".env").write_text("\n".join(kept) + "\n")
    done = host.run("deploy.sh", "v2")
    assert done.status == 0, done.said
    env = dict(line.split("=", 1) for line in (host.home / ".env").read_text().splitlines())
    assert len(env["WHATSAPP_WEBHOOK_SECRET"]) == 32
    assert env["WHATSAPP_WEBHOOK_SECRET"] not in done.said + "\n".join(host.calls)


def test_the_bridges_images_are_pruned_with_the_workers(host: ScriptHost) -> None:
    host.save(bridge_images=["v1", "stray"])
    done = host.run("deploy.sh", "v2")
    assert done.status == 0, done.said
    assert host.state["bridge_images"] == ["v1"]


def test_dry_run_touches_nothing(host: ScriptHost) -> None:
    state, files = host.state, host.files()
    done = host.run("deploy.sh", "--dry-run", "v2")
    assert done.status == 0, done.said
    assert "would start a worker of v2 beside 1" in done.stdout
    assert (host.state["containers"], host.files()) == (state["containers"], files)
    assert host.state["images"] == state["images"]


def test_a_dry_run_does_not_end_as_if_it_had_been_done(host: ScriptHost) -> None:
    host.make_bundle(host.folder / "bundles" / "v2")
    files = host.files()
    done = host.run("deploy.sh", "--dry-run", "--with-bundle", "v2")
    assert done.status == 0, done.said
    assert done.stdout.splitlines()[-1] == "would end with v2 in force; nothing was changed"
    assert "v2 is in force" not in done.said
    assert host.files() == files


def test_a_worker_that_is_what_is_wanted_is_replaced_when_that_is_asked_for(host: ScriptHost) -> None:
    [before] = (i for i, c in host.state["containers"].items() if c["service"] == "worker")
    files = host.files()
    done = host.run("deploy.sh", "--replace")
    assert done.status == 0, done.said
    [after] = (i for i, c in host.state["containers"].items() if c["service"] == "worker")
    assert before != after
    assert host.state["stopped"] == [before], "it finished its tasks"
    assert host.state.get("moments_without_healthy_worker", 0) == 0
    assert {name: content for name, content in host.files().items() if name != "deploys.log"} == {
        name: content for name, content in files.items() if name != "deploys.log"
    }


def test_a_replacement_that_is_not_well_is_removed_and_the_worker_that_runs_stays(host: ScriptHost) -> None:
    before = host.state["containers"]
    host.save(health_of_tag={"v1": "unhealthy"})
    done = host.run("deploy.sh", "--replace")
    assert done.status != 0
    assert "did not get well and is removed" in done.stderr
    assert host.state["containers"] == before


@pytest.mark.parametrize("again", [(), ("--replace",)], ids=str)
@pytest.mark.parametrize("step", ["start", "healthy", "old"])
def test_a_replacement_that_was_killed_ends_with_one_worker(
    host: ScriptHost, step: str, again: tuple[str, ...]
) -> None:
    assert host.run("deploy.sh", "--replace", WEARON_FAIL_AFTER=step).killed
    done = host.run("deploy.sh", *again)
    assert done.status == 0, done.said
    assert [worker["health"] for worker in host.workers()] == ["healthy"]
    assert host.state.get("moments_without_healthy_worker", 0) == 0


def test_migrations_come_before_the_new_worker_and_the_address_is_nowhere(host: ScriptHost) -> None:
    address = "postgresql://postgres:s3cret@db.example.com/postgres"
    done = host.run("deploy.sh", "v2", DATABASE_URL=address)
    assert done.status == 0, done.said
    assert [name.rpartition("_wearon")[0] for name in host.state["migrated"]] == [
        "/migrations/20261121000000",
        "/migrations/20261128000000",
        "/migrations/20261129000000",
        "/migrations/20261130000000",
        "/migrations/20261201000000",
    ]
    assert "s3cret" not in done.said + "\n".join(host.calls)
    assert not any(b"s3cret" in content for content in host.files().values())


def test_after_a_rollback_of_the_files_the_older_migrations_are_not_applied_again(host: ScriptHost) -> None:
    """They would bring older functions back, whose worker nobody can tell."""
    newer = "20991231000000_wearon_worker_of_v2.sql"
    for tag in ("v1", "v2"):
        host.make_bundle(host.folder / "bundles" / tag)
    (host.folder / "bundles" / "v2" / "supabase" / "migrations" / newer).write_text("select 2;\n")
    done = host.run("deploy.sh", "--with-bundle", "v2", DATABASE_URL="postgresql://x")
    assert done.status == 0, done.said
    assert host.state["migrated"][-1] == f"/migrations/{newer}"
    host.save(migrated=[])
    done = host.run("deploy.sh", "--with-bundle", "rollback", DATABASE_URL="postgresql://x")
    assert done.status == 0, done.said
    assert f"the database has had {newer}" in done.stderr
    assert host.state["migrated"] == []


def test_a_database_that_refuses_stops_the_deploy_before_the_new_worker(host: ScriptHost) -> None:
    before = host.state["containers"]
    host.save(database_refuses=True)
    done = host.run("deploy.sh", "v2", DATABASE_URL="postgresql://x")
    assert done.status != 0
    assert "did not take the migrations" in done.stderr
    assert host.state["containers"] == before


def test_two_deploys_do_not_run_at_once(host: ScriptHost) -> None:
    descriptor = os.open(host.home, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        done = host.run("deploy.sh", "v2")
    finally:
        os.close(descriptor)
    assert done.status != 0
    assert "Another script is at work" in done.stderr
    assert f"process {os.getpid()} (" in done.stderr


def test_a_script_that_waits_for_another_says_for_whom(host: ScriptHost) -> None:
    descriptor = os.open(host.home, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        done = shell(host.home, "take_lock 1")
    finally:
        os.close(descriptor)
    assert f"waiting at most 1 s for another script at work here: process {os.getpid()} (" in done.stdout


def lock_is_free(host: ScriptHost) -> bool:
    descriptor = os.open(host.home, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def test_a_deploy_that_is_killed_while_the_old_worker_drains_keeps_nobody_out(host: ScriptHost) -> None:
    drains = host.folder / "drains"
    drains.touch()
    deploy = host.start("deploy.sh", "v2")
    try:
        draining = "the old worker drains"
        wait_until(lambda: any(call.startswith("docker stop") for call in host.calls), draining, seconds=60)
        assert not lock_is_free(host)
        deploy.kill()
        deploy.wait()
        wait_until(lambda: lock_is_free(host), "the lock is free while the old worker still drains")
        assert host.state["stopped"] == []
    finally:
        deploy.kill()
        deploy.wait()
        drains.unlink()
    wait_until(lambda: bool(host.state["stopped"]), "the old worker has ended", seconds=60)
    done = host.run("deploy.sh", "v2")
    assert done.status == 0, done.said
    assert [worker["tag"] for worker in host.workers()] == ["v2"]


@pytest.mark.parametrize("tag", ["v2;reboot", "-v", "a b", "../x", "ä"])
def test_what_is_no_tag_is_refused(host: ScriptHost, tag: str) -> None:
    done = host.run("deploy.sh", tag)
    assert done.status in (2, 3)
    assert host.calls == []


def test_a_secret_of_the_callers_shell_does_not_reach_compose(host: ScriptHost) -> None:
    done = host.run("deploy.sh", "v2", REDIS_PASSWORD="another", OPENAI_API_KEY="another")
    assert done.status == 0, done.said


def test_a_bundle_that_comes_with_the_release_is_put_in_place_before_the_worker(host: ScriptHost) -> None:
    bundle = host.folder / "bundles" / "v2"
    host.make_bundle(bundle)
    (bundle / "nginx" / "new.conf").write_text("# new\n")
    done = host.run("deploy.sh", "--with-bundle", "v2")
    assert done.status == 0, done.said
    assert (host.home / "nginx" / "new.conf").read_text() == "# new\n"
    assert "SUPABASE_URL" in (host.home / ".env").read_text()


def test_a_bundle_that_cannot_be_copied_whole_changes_nothing(host: ScriptHost) -> None:
    host.make_bundle(host.folder / "bundles" / "v2")
    host.save(copy_breaks=["bundle:v2:/."])
    files = host.files()
    done = host.run("deploy.sh", "--with-bundle", "v2")
    assert done.status != 0
    assert "could not be copied. Is the disk full" in done.stderr
    assert done.stderr.count("STOP") == 1
    assert host.files() == files


def test_a_newcomer_that_is_not_well_is_told_also_when_the_old_files_cannot_be_had(host: ScriptHost) -> None:
    for tag in ("v1", "v2"):
        host.make_bundle(host.folder / "bundles" / tag)
    host.save(health_of_tag={"v2": "unhealthy"}, copy_breaks=["bundle:v1:/."])
    done = host.run("deploy.sh", "--with-bundle", "v2")
    assert "those of v2 stay in" in done.stderr
    assert "The worker of v2 did not get well and is removed. v1 goes on as before." in done.stderr
    assert [worker["tag"] for worker in host.workers()] == ["v1"]
    assert not list(host.home.glob(".bundle.*"))


def test_a_release_whose_files_cannot_all_be_written_is_not_deployed(host: ScriptHost) -> None:
    bundle = host.folder / "bundles" / "v2"
    host.make_bundle(bundle)
    (bundle / "nginx" / "taken").mkdir()
    (bundle / "nginx" / "taken" / "new.conf").write_text("# new\n")
    (host.home / "nginx" / "taken").write_text("a file where the release has a directory\n")
    done = host.run("deploy.sh", "--with-bundle", "v2")
    assert done.status != 0
    assert "Not every file of the release could be put" in done.stderr
    assert [worker["tag"] for worker in host.workers()] == ["v1"]
    assert in_force(host) == RELEASE.format("v1")


def test_the_files_of_the_old_release_come_back_when_the_new_worker_is_not_well(host: ScriptHost) -> None:
    for tag in ("v1", "v2"):
        host.make_bundle(host.folder / "bundles" / tag)
    (host.folder / "bundles" / "v2" / "nginx" / "new.conf").write_text("# new\n")
    files = host.files()
    host.save(health_of_tag={"v2": "unhealthy"})
    done = host.run("deploy.sh", "--with-bundle", "v2")
    assert done.status != 0
    assert host.files() == files


@pytest.mark.parametrize("key", ["GF_SECURITY_ADMIN_PASSWORD", "REDIS_URL", "CERTBOT_EMAIL"])
def test_a_placeholder_of_the_example_is_refused_before_anything_is_asked(host: ScriptHost, key: str) -> None:
    example = (REPOSITORY / ".env.example").read_text().splitlines()
    [placeholder] = [line for line in example if line.startswith(f"{key}=")]
    kept = [line for line in (host.home / ".env").read_text().splitlines() if not line.startswith(f"{key}=")]
    (host.home / ".env").write_text("\n".join([*kept, placeholder]) + "\n")
    files = host.files()
    done = host.run("deploy.sh", "v2")
    assert done.status != 0
    assert f"for development: {key}. Write the right value" in done.stderr
    assert placeholder.partition("=")[2] not in done.said
    assert (host.calls, host.files()) == ([], files)


def test_a_rollback_with_the_bundle_brings_the_files_back_too_and_without_it_the_worker_alone(host: ScriptHost) -> None:
    for tag in ("v1", "v2"):
        host.make_bundle(host.folder / "bundles" / tag)
    (host.folder / "bundles" / "v2" / "nginx" / "new.conf").write_text("# new\n")
    host.run("deploy.sh", "--with-bundle", "v2")
    assert host.run("deploy.sh", "rollback").status == 0
    assert (host.home / "nginx" / "new.conf").exists()
    assert host.run("deploy.sh", "v2").status == 0
    assert host.run("deploy.sh", "--with-bundle", "rollback").status == 0
    assert in_force(host) == RELEASE.format("v1")
    assert not (host.home / "nginx" / "new.conf").exists()


def test_a_newcomer_that_dies_again_and_again_is_given_up_long_before_its_time_is_over(host: ScriptHost) -> None:
    before = host.state["containers"]
    host.save(health_of_tag={"v2": "dies"})
    done = host.run("deploy.sh", "v2", WEARON_HEALTHY_WITHIN_SECONDS="3600")
    assert "The worker of v2 did not get well and is removed" in done.stderr
    assert host.state["containers"] == before


@pytest.mark.parametrize("sick_one_first", [True, False])
def test_of_two_old_workers_that_a_killed_deploy_left_the_healthy_one_serves_on(
    host: ScriptHost, sick_one_first: bool
) -> None:
    containers = host.state["containers"]
    [healthy] = (i for i, c in containers.items() if c["service"] == "worker")
    sick = {"5" * 64: containers[healthy] | {"health": "unhealthy"}}
    host.save(containers=sick | containers if sick_one_first else containers | sick)
    done = host.run("deploy.sh", "v2")
    assert done.status == 0, done.said
    assert host.state["stopped"] == ["5" * 64, healthy]
    assert host.state.get("moments_without_healthy_worker", 0) == 0
    assert [worker["tag"] for worker in host.workers()] == ["v2"]
