"""scripts/ssh-command.sh: the deploy key may say one thing."""

import pytest

from tests.support.script_host import ANSWERS, DOMAIN, ScriptHost

FILLED_IN = ANSWERS | {"DOMAIN": DOMAIN}
"""What a person wrote to .env."""


def test_deploy_and_a_tag_is_a_deploy_with_the_releases_files(host: ScriptHost) -> None:
    host.make_bundle(host.folder / "bundles" / "v2")
    done = host.run("ssh-command.sh", SSH_ORIGINAL_COMMAND="deploy v2")
    assert done.status == 0, done.said
    assert (host.home / "release.env").read_text() == "WORKER_TAG=v2\n"


def test_on_a_host_that_was_only_laid_out_it_is_the_first_deploy(fresh_host: ScriptHost) -> None:
    fresh_host.make_bundle(fresh_host.home)
    fresh_host.make_bundle(fresh_host.folder / "bundles" / "v2")
    (fresh_host.home / ".env").write_text("".join(f"{key}={value}\n" for key, value in FILLED_IN.items()))
    done = fresh_host.run("ssh-command.sh", SSH_ORIGINAL_COMMAND="deploy v2")
    assert done.status == 0, done.said
    assert fresh_host.state["https"]
    assert (fresh_host.home / "release.env").read_text() == "WORKER_TAG=v2\n"
    assert [worker["health"] for worker in fresh_host.workers()] == ["healthy"]


def test_a_first_deploy_that_was_cut_off_is_ended_with_its_tag_before_the_new_one(fresh_host: ScriptHost) -> None:
    assert fresh_host.first_deploy(WEARON_FAIL_AFTER="start").killed
    fresh_host.make_bundle(fresh_host.folder / "bundles" / "v2")
    done = fresh_host.run("ssh-command.sh", SSH_ORIGINAL_COMMAND="deploy v2")
    assert done.status == 0, done.said
    assert fresh_host.state["https"]
    assert (fresh_host.home / "release.env").read_text() == "WORKER_TAG=v2\n"


def test_a_host_without_a_name_says_what_to_write_where(fresh_host: ScriptHost) -> None:
    fresh_host.make_bundle(fresh_host.home)
    done = fresh_host.run("ssh-command.sh", SSH_ORIGINAL_COMMAND="deploy v2")
    assert done.status != 0
    assert "has no DOMAIN" in done.stderr


@pytest.mark.parametrize(
    "said",
    [
        "",
        "deploy",
        "deploy ",
        "deploy  v2",
        "deploy v2 ",
        " deploy v2",
        "deploy v2 v3",
        "deploy v2\nid",
        "deploy v2;id",
        "deploy $(id)",
        "deploy `id`",
        "deploy v2|id",
        "deploy --dry-run",
        "deploy -v2",
        "deploy ../v2",
        "deploy rollback",
        "deploy é",
        "deploy " + "x" * 129,
        "DEPLOY v2",
        "id",
        "bash",
        "scp -t /opt/wearon",
        "sftp-server",
    ],
)
def test_everything_else_is_refused_before_anything_is_asked(host: ScriptHost, said: str) -> None:
    done = host.run("ssh-command.sh", SSH_ORIGINAL_COMMAND=said)
    assert done.status != 0
    assert "This key may say only: deploy TAG" in done.stderr
    assert host.calls == []


def test_nothing_asked_for_is_refused(host: ScriptHost) -> None:
    assert host.run("ssh-command.sh").status != 0
    assert host.calls == []
