"""A program that runs beside the test, and ends with the block around it."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self

from sandbox.servers.processes import ChildProcess, start_child, wait_until_ready

START_SECONDS: Final = 20.0


def _at_once() -> bool:
    return True


class Background:
    """Starts ``command`` in the namespace of the calling thread; ready when ``is_ready`` says so."""

    def __init__(
        self,
        name: str,
        *command: str | Path,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        is_ready: Callable[[], bool] = _at_once,
    ) -> None:
        self._name = name
        self._command = command
        self._log_path = log_path
        self._env = {"PATH": os.environ["PATH"], **(env or {})}
        self._is_ready = is_ready
        self._child: ChildProcess | None = None

    def __enter__(self) -> Self:
        self._child = start_child(self._command, log_path=self._log_path, env=self._env)
        wait_until_ready(self._child, self._is_ready, name=self._name, timeout_seconds=START_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.stop()
