"""The deploy key opens one door: ``deploy TAG`` (ADR 0118), through a real sshd and the line the operator writes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.engine.host import Host
from tests.infra.engine.openssh import DeployKey, deploy_door
from tests.infra.engine.rig import REPOSITORY, WORKER_TAG, Rig

STAND_INS = ("nginx", "redis", "python")

ONLY_DEPLOY = "This key may say only: deploy TAG"

REFUSED_COMMANDS = (
    "id",
    "bash -i",
    f"deploy {WORKER_TAG}; id",
    f"deploy {WORKER_TAG} --dry-run",
    "deploy --dry-run",
    "deploy ../first",
    "deploy $(id)",
    "deploy rollback",
    "deploy",
)


@pytest.fixture
def key(rig: Rig, host: Host) -> Iterator[DeployKey]:
    """Somebody on the internet who has the deploy key."""
    with deploy_door(host, rig.openssh, REPOSITORY) as opened:
        yield opened


def test_the_deploy_key_may_deploy_a_tag_and_nothing_else(rig: Rig, host: Host, key: DeployKey, tmp_path: Path) -> None:
    worker = host.container("worker")
    for command in REFUSED_COMMANDS:
        status, output = key.ssh(say=command)
        assert status != 0, command
        assert ONLY_DEPLOY in output, command
        assert "uid=" not in output, command
    assert key.ssh()[0] != 0

    stolen = tmp_path / "env"
    assert key.fetch(str(host.home / ".env"), stolen)[0] != 0
    assert not stolen.exists()

    status, output = key.ssh("-W", "127.0.0.1:80")
    assert status != 0
    assert "administratively prohibited" in output
    status, output = key.ssh("-N", "-R", "0:127.0.0.1:80")
    assert status != 0
    assert "remote port forwarding failed" in output
    status, output = key.ssh("-tt")
    assert status != 0
    assert "PTY allocation request failed" in output
    assert host.container("worker") == worker

    rig.docker.build(
        REPOSITORY, f"{rig.images.worker}-bundle:{WORKER_TAG}", "--file", str(REPOSITORY / "bundle.Dockerfile")
    )
    status, output = key.ssh(say=f"deploy {WORKER_TAG}")
    assert status == 0, output
    assert f"{WORKER_TAG} is in force" in output
    assert host.container("worker") == worker
    rig.report.proved(
        "the deploy key over sshd, by the line of docs/operations.md: `deploy TAG` with the bundle goes, nothing else",
        f"{len(REFUSED_COMMANDS) + 1} other commands, sftp, two kinds of port forwarding and a terminal refused",
        stand_ins=STAND_INS,
    )
