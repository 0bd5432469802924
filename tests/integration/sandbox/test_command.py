"""The lasting sandbox as a person uses it: start, push, kill the worker, stop, start again, wipe."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from sandbox.plain_http import NO_AUTHORITIES
from sandbox.servers.node_packages import ensure_node_packages
from tests.conftest import ENVIRONMENT_OF_THE_DEVELOPER

REPOSITORY = Path(__file__).resolve().parents[3]

COMMAND_TIMEOUT_SECONDS = 60


@pytest.fixture(autouse=True)
def _node_packages() -> None:
    """Installed with the developer's environment: npm may need a proxy from it."""
    ensure_node_packages(ENVIRONMENT_OF_THE_DEVELOPER)


class RunningSandbox:
    """A ``start`` in a process of its own; its lines are read as they come."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def wait_for(self, words: str) -> str:
        """The next line with these words; everything before is passed over."""
        if self._process.stdout is None:
            raise AssertionError("opened with stdout=PIPE")
        passed = []
        for line in self._process.stdout:
            if words in line:
                return line
            passed.append(line)
        raise AssertionError(f"{words!r} never came, but:\n{''.join(passed)}")

    def process_of(self, program: str) -> psutil.Process:
        """The child that runs ``program``."""
        children = psutil.Process(self._process.pid).children()
        return next(child for child in children if any(program in part for part in child.cmdline()))

    def interrupt(self) -> int:
        """Ctrl-C; returns the exit status."""
        self._process.send_signal(signal.SIGINT)
        self.wait_for("The data stays")
        return self._process.wait(COMMAND_TIMEOUT_SECONDS)


@contextmanager
def started(data: Path) -> Iterator[RunningSandbox]:
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "start", "--data", data, "--latency", "0.2"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        sandbox = RunningSandbox(process)
        sandbox.wait_for("Ctrl-C here")
        yield sandbox
    finally:
        process.terminate()
        process.communicate(timeout=COMMAND_TIMEOUT_SECONDS)


def run(data: Path, command: str, *arguments: str) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, "-m", "sandbox", command, "--data", data, *arguments],
        cwd=REPOSITORY,
        env=os.environ,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_TIMEOUT_SECONDS,
    )
    return ended.returncode, ended.stdout


def test_a_sandbox_serves_survives_a_dead_worker_and_a_restart_and_can_be_wiped(tmp_path: Path) -> None:
    data = tmp_path / "data"

    with started(data) as sandbox:
        status, pushed = run(data, "push", "--b2b", "--mode", "resell")
        assert status == 0, pushed
        picture = re.search(r"picture: (\S+)", pushed)
        assert picture
        assert run(data, "push", "--b2c", "--prompt", "[[sim:moderation]]")[0] == 1

        second, said = run(data, "start")
        assert (second, "already runs" in said) == (1, True)
        wiped, said = run(data, "reset")
        assert (wiped, "already runs" in said) == (1, True)

        sandbox.process_of("main.py").kill()
        assert "exit code -9" in sandbox.wait_for("worker ended")
        sandbox.wait_for("worker runs again")
        assert run(data, "push", "--b2c")[0] == 0

        assert sandbox.interrupt() == 0

    assert run(data, "status")[0] == 3
    with started(data) as sandbox:
        assert "2 completed, 1 failed" in run(data, "status")[1]
        status, said = run(data, "wearon", "status")
        assert (status, "2 completed, 1 failed (moderated 1)" in said) == (0, True)
        signed_before_the_restart = httpx.get(picture[1], trust_env=False, timeout=30.0, verify=NO_AUTHORITIES)
        assert signed_before_the_restart.headers["content-type"] == "image/jpeg"

        sandbox.process_of("main.py").terminate()
        assert "with exit code 0 and stays stopped" in sandbox.wait_for("worker was stopped")
        assert "worker (main.py) does not answer" in run(data, "status")[1]

    assert run(data, "reset")[0] == 0
    assert not data.exists()
