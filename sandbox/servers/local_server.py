"""What Redis, Postgres and the Supabase API of the sandbox have in common: the life of a server."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from sandbox.servers.processes import LOOPBACK, ChildProcess, free_port, wait_until_ready


class LocalServer(ABC):
    """A server program on loopback whose port and data survive ``kill`` and ``restart``.

    ``directory`` holds everything it writes; a new object on the same directory finds the old data. ``port`` 0 picks
    a free port once and keeps it for the life of the object.
    """

    name: ClassVar[str]

    def __init__(self, directory: Path, port: int = 0) -> None:
        self.directory = directory.absolute()
        self.host = LOOPBACK
        self.port = port or free_port()
        self._child: ChildProcess | None = None

    @abstractmethod
    def _launch(self) -> ChildProcess:
        """Prepare the directory and start the program."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Whether it serves; must not raise while it does not."""

    @property
    def log_path(self) -> Path:
        """Both outputs of the program, appended over restarts."""
        return self.directory / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """Process id of the running server; raises ``RuntimeError`` when it was never started."""
        return self._running_child().pid

    @property
    def is_running(self) -> bool:
        """Whether the program runs at this moment."""
        return self._child is not None and self._child.is_running

    def start(self) -> None:
        """Start and wait until it serves; nothing happens if it runs. Raises ``StartupFailed``."""
        if self.is_running:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        self._child = self._launch()
        wait_until_ready(self._child, self._is_ready, name=self.name)

    def stop(self) -> None:
        """Stop in an orderly way; nothing happens if it does not run."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """SIGKILL; what was acknowledged must be there after the next start."""
        self._running_child().kill()

    def restart(self) -> None:
        """Stop, if it runs, and start again with the same port and data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Let it hang: connections stay open, nothing is answered."""
        self._running_child().pause()

    def resume(self) -> None:
        """Undo :meth:`pause`."""
        self._running_child().resume()

    def _running_child(self) -> ChildProcess:
        if self._child is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._child

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
