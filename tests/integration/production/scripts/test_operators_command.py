"""`wearon` on the host: what the runbooks have an operator type, in the worker's container."""

import os
import pty
import stat
import subprocess
from pathlib import Path

import pytest

from tests.support.script_host import ScriptHost, shell

DOCKER = """#!/bin/sh
printf '%s\\n' "$PWD" "$@" >"$SEEN"
exit 7
"""


def command_of(host: ScriptHost) -> Path:
    return host.folder / "commands" / "wearon"


@pytest.mark.parametrize("script", ["first-deploy.sh", "deploy.sh"])
def test_it_is_written_whole_and_may_be_run_by_everybody(fresh_host: ScriptHost, script: str) -> None:
    if script == "deploy.sh":
        fresh_host.install("v1")
        done = fresh_host.run("deploy.sh", "v2")
    else:
        done = fresh_host.first_deploy()
    assert done.status == 0, done.said
    assert stat.S_IMODE(command_of(fresh_host).stat().st_mode) == 0o755
    assert [file.name for file in command_of(fresh_host).parent.iterdir()] == ["wearon"]
    assert command_of(fresh_host).read_text().endswith('worker wearon "$@"\n')


def test_a_second_run_leaves_the_file_alone(host: ScriptHost) -> None:
    host.run("deploy.sh", "v2")
    before = command_of(host).stat()
    host.run("deploy.sh", "v2")
    assert (command_of(host).stat().st_ino, command_of(host).stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_an_older_one_is_replaced_and_somebody_elses_stays(host: ScriptHost) -> None:
    host.run("deploy.sh", "v2")
    now = command_of(host).read_text()
    command_of(host).write_text(now.replace("wearon", "wearon-as-it-was"))
    host.run("deploy.sh", "v2")
    assert command_of(host).read_text() == now
    command_of(host).write_text("#!/bin/sh\necho mine\n")
    done = host.run("deploy.sh", "v2")
    assert "is somebody else's and stays" in done.stderr
    assert command_of(host).read_text() == "#!/bin/sh\necho mine\n"


def test_a_host_on_which_it_cannot_be_written_is_deployed_all_the_same(host: ScriptHost) -> None:
    done = host.run("deploy.sh", "v2", WEARON_COMMAND_DIRECTORY=str(host.folder / "not" / "there"))
    assert done.status == 0, done.said
    assert "`wearon` is not on this host" in done.stderr


def test_what_was_begun_and_failed_leaves_no_half_of_it(tmp_path: Path) -> None:
    program = '_operators_command() { echo "#!/bin/sh"; return 1; }; ensure_operators_command'
    done = shell(tmp_path, program, WEARON_COMMAND_DIRECTORY=str(tmp_path))
    assert done.status == 0, done.said
    assert "is not on this host" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def seen(host: ScriptHost) -> Path:
    """Where a docker that only looks writes the directory and its arguments, a line each."""
    host.run("deploy.sh", "v2")
    (host.folder / "looking").mkdir()
    docker = host.folder / "looking" / "docker"
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    return host.folder / "seen"


def run_command(host: ScriptHost, seen: Path, *arguments: str, reads: bool, writes: bool) -> int:
    """Whether it reads from a terminal, and whether it writes to one."""
    environment = {"PATH": f"{host.folder / 'looking'}:{os.environ['PATH']}", "SEEN": str(seen)}
    ours, theirs = pty.openpty()
    try:
        return subprocess.run(
            [command_of(host), *arguments],
            cwd="/",
            env=environment,
            stdin=theirs if reads else subprocess.DEVNULL,
            stdout=theirs if writes else subprocess.DEVNULL,
            check=False,
        ).returncode
    finally:
        os.close(ours)
        os.close(theirs)


def test_it_hands_its_words_to_the_worker_from_wherever_it_is_typed(host: ScriptHost, seen: Path) -> None:
    status = run_command(host, seen, "session", "a b", "", reads=True, writes=True)
    assert seen.read_text().split("\n") == [
        *(str(host.home), "compose", "exec", "worker", "wearon", "session", "a b", "", "")
    ]
    assert status == 7, "the worker's own"


@pytest.mark.parametrize(("reads", "writes"), [(False, False), (True, False), (False, True)])
def test_without_a_terminal_at_both_ends_it_asks_compose_for_none(
    host: ScriptHost, seen: Path, reads: bool, writes: bool
) -> None:
    run_command(host, seen, "audit", reads=reads, writes=writes)
    assert seen.read_text().split() == [str(host.home), "compose", "exec", "-T", "worker", "wearon", "audit"]
