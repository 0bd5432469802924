"""The engine as the proofs see it: Docker's own command line, with its answers read."""

import json
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.infra.engine.commands import attempt, run
from tests.infra.engine.needs import DEBIAN_DOCKER
from tests.infra.engine.waiting import wait_for

BUILD_SECONDS: Final = 600.0
"""For the worker's image: about 70 s, and more on a machine that does other things."""


@dataclass(frozen=True, slots=True)
class Event:
    """One of the engine's events about a container: what happened, to which service's, when (Unix nanoseconds)."""

    action: str
    container: str
    service: str
    at_nanoseconds: int


class Docker:
    """One engine by its socket."""

    def __init__(self, socket: Path, configuration: Path, programs: Path) -> None:
        self.socket = socket
        self.configuration = configuration
        self.programs = programs
        self.environment: Final[dict[str, str]] = {
            "PATH": f"{programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(configuration),
            "DOCKER_HOST": f"unix://{socket}",
            "DOCKER_CONFIG": str(configuration),
        }

    def __call__(self, *arguments: str | Path, stdin: str | None = None, timeout_seconds: float = 300.0) -> str:
        """``docker ...``; its output without the last line end. Raises ``CommandFailed``."""
        output = run(DEBIAN_DOCKER, *arguments, env=self.environment, stdin=stdin, timeout_seconds=timeout_seconds)
        return output.rstrip("\n")

    def attempt(self, *arguments: str | Path, timeout_seconds: float = 300.0) -> tuple[int, str]:
        """``docker ...``; its status and output."""
        return attempt(DEBIAN_DOCKER, *arguments, env=self.environment, timeout_seconds=timeout_seconds)

    def build(self, context: Path, tag: str, *options: str, buildkit: bool = True) -> str:
        """Build an image; what the builder wrote."""
        environment = {**self.environment, "DOCKER_BUILDKIT": str(int(buildkit)), "BUILDKIT_PROGRESS": "plain"}
        return run(
            DEBIAN_DOCKER, "build", "--tag", tag, *options, context, env=environment, timeout_seconds=BUILD_SECONDS
        )

    def inspect(self, name: str) -> dict[str, Any]:
        """All that the engine knows of a container, image, volume or network."""
        found: list[dict[str, Any]] = json.loads(self("inspect", name))
        return found[0]

    def has_image(self, tag: str) -> bool:
        """Whether the engine has an image of this name."""
        return self.attempt("image", "inspect", tag)[0] == 0

    def containers(self, project: str, service: str, *, also_stopped: bool = False) -> list[str]:
        """The ids of a service's containers, the newest first."""
        filters = (f"label=com.docker.compose.project={project}", f"label=com.docker.compose.service={service}")
        options = ["--all"] if also_stopped else []
        for name in filters:
            options += ["--filter", name]
        return self("ps", "--quiet", "--no-trunc", *options).split()

    def health(self, container: str) -> str:
        """``healthy``, ``unhealthy``, ``starting``; without a check what it does: ``running``, ``exited`` ..."""
        template = "{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}"
        return self("inspect", "--format", template, container)

    def wait_healthy(self, container: str, *, seconds: float) -> None:
        """Until its check is green. Raises ``TimeoutError``."""
        wait_for(f"{container[:12]} is healthy", lambda: self.health(container) == "healthy", seconds=seconds)

    def host_pid(self, container: str) -> int:
        """Its process 1, as this machine numbers it; 0 while it does not run."""
        return int(self("inspect", "--format", "{{.State.Pid}}", container))

    def address(self, container: str, network: str) -> str:
        """Its address in a network of this name."""
        networks = self.inspect(container)["NetworkSettings"]["Networks"]
        return str(networks[network]["IPAddress"])


class EventWatch:
    """Collects the engine's events about containers while the block around it runs."""

    def __init__(self, docker: Docker) -> None:
        self._docker = docker
        self._events: list[Event] = []
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._read, name="docker-events", daemon=True)

    def __enter__(self) -> "EventWatch":
        self._process = subprocess.Popen(
            [
                *(DEBIAN_DOCKER, "events", "--since", f"{time.time():.6f}"),
                *("--filter", "type=container", "--format", "{{json .}}"),
            ],
            env=self._docker.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
        self._thread.join()

    def of(self, service: str, action: str) -> list[Event]:
        """What happened to a service's containers, in order; ``action`` as the engine spells it."""
        return [event for event in list(self._events) if (event.service, event.action) == (service, action)]

    def _read(self) -> None:
        if self._process is None or self._process.stdout is None:
            raise AssertionError("started with a pipe")
        for line in self._process.stdout:
            self._events.append(_event(json.loads(line)))


def _event(seen: Mapping[str, Any]) -> Event:
    attributes = seen["Actor"]["Attributes"]
    service = attributes.get("com.docker.compose.service", "")
    return Event(seen["Action"], seen["Actor"]["ID"], service, int(seen["timeNano"]))
