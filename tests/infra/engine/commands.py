"""Runs a program and says what it said when it fails."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

SHOWN_CHARACTERS: Final = 4_000
"""Of a failed command's output: the end, where the reason is."""

COMMAND_SECONDS: Final = 300.0
"""Longer than anything here but a build, which names its own limit."""


class CommandFailed(Exception):
    """A command ended with another status than 0; ``output`` is both of its outputs."""

    def __init__(self, command: Sequence[str | Path], status: int, output: str) -> None:
        self.status = status
        self.output = output
        words = " ".join(map(str, command))
        super().__init__(f"{words} ended with status {status}:\n{output[-SHOWN_CHARACTERS:]}")


def run(
    *command: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    timeout_seconds: float = COMMAND_SECONDS,
) -> str:
    """Run it and return both outputs as one text. Raises ``CommandFailed``, or ``subprocess.TimeoutExpired``."""
    status, output = attempt(*command, env=env, cwd=cwd, stdin=stdin, timeout_seconds=timeout_seconds)
    if status != 0:
        raise CommandFailed(command, status, output)
    return output


def attempt(
    *command: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    timeout_seconds: float = COMMAND_SECONDS,
) -> tuple[int, str]:
    """Run it and return its status and both outputs as one text. Raises ``subprocess.TimeoutExpired``."""
    ended = subprocess.run(
        command,
        check=False,
        env=None if env is None else dict(env),
        cwd=cwd,
        input=stdin,
        stdin=None if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout_seconds,
    )
    return ended.returncode, ended.stdout
