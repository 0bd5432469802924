"""scripts/ssh-command.sh: the deploy key may say one thing."""

import pytest

from tests.support.script_host import ScriptHost


def test_deploy_and_a_tag_is_a_deploy_with_the_releases_files(host: ScriptHost) -> None:
    host.make_bundle(host.folder / "bundles" / "v2")
    done = host.run("ssh-command.sh", SSH_ORIGINAL_COMMAND="deploy v2")
    assert done.status == 0, done.said
    assert (host.home / "release.env").read_text() == "WORKER_TAG=v2\n"


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
