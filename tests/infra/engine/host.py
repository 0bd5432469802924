"""The host under test: its bundle directory, Compose in it, and the scripts as its operator runs them."""

import secrets
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.infra.engine.commands import attempt, run
from tests.infra.engine.docker import Docker
from tests.infra.engine.images import Images
from tests.infra.engine.internet import DOMAIN, Internet
from tests.infra.engine.namespaces import HOST, INTERNET_ADDRESS
from tests.infra.engine.needs import DEBIAN_DOCKER
from tests.infra.engine.waiting import wait_for

MONITORING: Final = ("alloy", "blackbox", "docker-socket", "grafana", "loki", "prometheus")
BUNDLE: Final = (
    *("docker-compose.prod.yml", "compose", "versions.env", "nginx", "redis", "scripts", "supabase/migrations"),
    *(".env.example", "CHANGELOG.md", *(f"monitoring/{name}" for name in MONITORING)),
)
"""What a release brings to a host."""

COMPOSE_FILE: Final = "docker-compose.prod.yml"
PROJECT: Final = "wearon"
NETWORK: Final = "wearon-net"

SCRIPT_SECONDS: Final = 500.0
"""A deploy drains for up to 400 s."""

HEALTHY_SECONDS: Final = 90.0
"""For a service to become healthy: the worker loads its model and looks at Redis; about 10 s on two idle cores."""

NO_MORE: Final[Mapping[str, str]] = MappingProxyType({})

NAMES_OF_THE_HOST: Final = Path("/etc/netns") / HOST
"""``ip netns exec`` puts these files in place of the machine's own."""


RESOLVER_FILE: Final = NAMES_OF_THE_HOST / "resolv.conf"


def give_host_its_names() -> None:
    """Its name server is the internet's."""
    NAMES_OF_THE_HOST.mkdir(parents=True, exist_ok=True)
    RESOLVER_FILE.write_text(f"nameserver {INTERNET_ADDRESS}\n")


def take_host_its_names() -> None:
    """Undo it."""
    shutil.rmtree(NAMES_OF_THE_HOST, ignore_errors=True)


class Host:
    """One ``/opt/wearon`` with its Compose project."""

    def __init__(self, home: Path, docker: Docker, images: Images, internet: Internet, project: str = PROJECT) -> None:
        self.home = home
        self.cron_directory = home.with_name(f"{home.name}-cron")
        self.command_directory = home.with_name(f"{home.name}-commands")
        self.internet = internet
        self.docker = docker
        self.images = images
        self.project = project

    def setting(self, name: str) -> str:
        """One line of ``.env``. Raises ``KeyError`` when it has none."""
        lines = (self.home / ".env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))[name]

    @property
    def network(self) -> str:
        """Compose's full name of the one network."""
        return f"{self.project}_{NETWORK}"

    def unpack(self, repository: Path) -> None:
        """Put the bundle there, as first-deploy does."""
        self.home.mkdir(parents=True, exist_ok=True)
        for name in BUNDLE:
            source, target = repository / name, self.home / name
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            elif source.exists():
                shutil.copy2(source, target)

    def settings(self, **changed: str) -> dict[str, str]:
        """A whole ``.env``, where first-deploy does not write it; ``changed`` ones last."""
        password = secrets.token_urlsafe(24)
        return {
            **self.internet.settings(),
            "REDIS_PASSWORD": password,
            "REDIS_URL": f"redis://default:{password}@redis:6379/0",
            "DOMAIN": DOMAIN,
            "CERTBOT_EMAIL": "ops@wearon.example",
            "GF_SECURITY_ADMIN_PASSWORD": secrets.token_urlsafe(24),
            "WHATSAPP_WEBHOOK_SECRET": secrets.token_urlsafe(24),
            "DOCKER_SOCKET": str(self.docker.socket),
            **changed,
        }

    def configure(self, settings: Mapping[str, str]) -> None:
        """Write ``.env`` and name the release."""
        env = self.home / ".env"
        env.touch(mode=0o600)
        env.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        self.release(self.images.worker_tag)

    def release(self, tag: str) -> None:
        """The tag in force."""
        (self.home / "release.env").write_text(f"WORKER_TAG={tag}\n")

    def release_in_force(self) -> str:
        """The tag in ``release.env``."""
        return (self.home / "release.env").read_text().strip().removeprefix("WORKER_TAG=")

    @property
    def environment(self) -> dict[str, str]:
        """All that a command on this host finds in its environment."""
        return {
            **self.docker.environment,
            "WEARON_HOME": str(self.home),
            "WEARON_CRON_DIRECTORY": str(self.cron_directory),
            "WEARON_COMMAND_DIRECTORY": str(self.command_directory),
            "WEARON_ACME_SERVER": self.internet.acme_directory,
            "WEARON_ACME_STAGING_SERVER": self.internet.acme_directory,
            "CURL_CA_BUNDLE": str(self.internet.issuer_path),
        }

    def compose(self, *arguments: str, timeout_seconds: float = SCRIPT_SECONDS, **shell: str) -> str:
        """``docker compose -f docker-compose.prod.yml ...`` in the bundle. Raises ``CommandFailed``."""
        return run(
            *self._compose(*arguments),
            env={**self.environment, **shell},
            cwd=self.home,
            timeout_seconds=timeout_seconds,
        )

    def attempt_compose(self, *arguments: str, timeout_seconds: float = SCRIPT_SECONDS) -> tuple[int, str]:
        """The same; its status and output."""
        return attempt(*self._compose(*arguments), env=self.environment, cwd=self.home, timeout_seconds=timeout_seconds)

    def _compose(self, *arguments: str) -> list[str | Path]:
        project = [] if self.project == PROJECT else ["--project-name", self.project]
        return [DEBIAN_DOCKER, "compose", "-f", COMPOSE_FILE, *project, *arguments]

    def script_command(
        self, name: str, *arguments: str, bundle: Path | None = None, env: Mapping[str, str] = NO_MORE
    ) -> list[str]:
        """The command line of a script on the host: nothing of this process's environment, no terminal.

        ``bundle`` is where the script lies, the host's own directory if not given; ``env`` comes on top.
        """
        words = [f"{key}={value}" for key, value in {**self.environment, **env}.items()]
        script = str((bundle or self.home) / "scripts" / name)
        return ["ip", "netns", "exec", HOST, "setsid", "--wait", "env", "-i", *words, "bash", script, *arguments]

    def script(self, name: str, *arguments: str, bundle: Path | None = None, env: Mapping[str, str] = NO_MORE) -> str:
        """Run a script to its end. Raises ``CommandFailed``."""
        command = self.script_command(name, *arguments, bundle=bundle, env=env)
        return run(*command, timeout_seconds=SCRIPT_SECONDS)

    def attempt_script(self, name: str, *arguments: str, env: Mapping[str, str] = NO_MORE) -> tuple[int, str]:
        """The same; its status and output."""
        return attempt(*self.script_command(name, *arguments, env=env), timeout_seconds=SCRIPT_SECONDS)

    def containers(self, service: str, *, also_stopped: bool = False) -> list[str]:
        """Ids of a service's containers, the newest first."""
        return self.docker.containers(self.project, service, also_stopped=also_stopped)

    def container(self, service: str) -> str:
        """The one container of a service. Raises ``LookupError`` when there is not exactly one."""
        found = self.containers(service)
        if len(found) != 1:
            raise LookupError(f"{service} has {len(found)} running containers")
        return found[0]

    def healthy(self, service: str) -> list[str]:
        """Ids of its containers whose check is green."""
        filters = [
            *("--filter", f"label=com.docker.compose.project={self.project}"),
            *("--filter", f"label=com.docker.compose.service={service}", "--filter", "health=healthy"),
        ]
        return self.docker("ps", "--quiet", "--no-trunc", *filters).split()

    def is_healthy(self, service: str) -> bool:
        """Whether exactly one container of it runs, and its check is green."""
        found = self.containers(service)
        return len(found) == 1 and self.docker.health(found[0]) == "healthy"

    def wait_healthy(self, *services: str, seconds: float = HEALTHY_SECONDS) -> None:
        """Until each is. Raises ``TimeoutError`` with what the service wrote and its check said."""
        for service in services:
            try:
                wait_for(f"{service} is healthy", partial(self.is_healthy, service), seconds=seconds)
            except TimeoutError as error:
                raise TimeoutError(f"{error}\n{self.story(service)}") from error

    def story(self, service: str) -> str:
        """The end of what a service's containers wrote, and their last checks."""
        told = []
        for container in self.containers(service, also_stopped=True):
            state = self.docker.inspect(container)["State"]
            checks = [check["Output"] for check in (state.get("Health") or {"Log": []})["Log"]]
            told.append(f"{state['Status']}, exit code {state['ExitCode']}; checks: {checks}")
            told.append(self.docker("logs", "--tail", "25", container))
        return "\n".join(told)

    def log(self, service: str) -> str:
        """What a service wrote."""
        return self.compose("logs", "--no-color", "--no-log-prefix", service)

    def remove(self) -> None:
        """Containers, network and volumes, at once."""
        self.attempt_compose("--profile", "certificates", "down", "--volumes", "--remove-orphans", "--timeout", "1")
