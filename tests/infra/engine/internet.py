"""Everything around the host: platform, provider, names, a certificate authority; all in the internet's namespace.

The sandbox's servers listen on loopback; the kernel leads to them from the internet's address, under the same port.
"""

import json
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

import httpx
import redis

from models.generation import Channel
from sandbox.openai_sim.client import SimulatorClient
from sandbox.pictures.samples import SAMPLES
from sandbox.platform.uploads import PlatformStorage
from sandbox.servers.processes import LOOPBACK
from sandbox.world import World
from tests.infra.engine.background import Background
from tests.infra.engine.commands import run
from tests.infra.engine.namespaces import HOST_ADDRESS, INTERNET_ADDRESS, INTERNET_LINK
from tests.support.tls import Authority

DOMAIN: Final = "worker.example.com"
"""The host's public name."""

ACME_NAME: Final = "acme-v02.api.letsencrypt.org"
"""first-deploy resolves it inside a container."""

ACME_PORT: Final = 14_000
MANAGEMENT_PORT: Final = 15_000
NAMES_PORT: Final = 53
NAMES_CONTROL_PORT: Final = 8_055

UPLOADER: Final = UUID(int=1)
"""Whoever uploads; b2c inputs are in nobody's folder."""

PEBBLE_ENVIRONMENT: Final = {
    "PEBBLE_VA_NOSLEEP": "1",
    "PEBBLE_WFE_NONCEREJECT": "0",
    # Else an authorization of an earlier order is taken again, and a broken challenge path renews happily.
    "PEBBLE_AUTHZREUSE": "0",
}


@dataclass(frozen=True, slots=True)
class Internet:
    """What runs there. ``world`` is seen from inside its namespace, the addresses here from the host."""

    world: World
    directory: Path
    authority: Authority
    """Signs the certificate of the ACME server itself, not what that issues."""

    @property
    def acme_directory(self) -> str:
        """Pebble, in Let's Encrypt's place."""
        return f"https://{INTERNET_ADDRESS}:{ACME_PORT}/dir"

    @property
    def supabase_url(self) -> str:
        """The platform's API."""
        return f"http://{INTERNET_ADDRESS}:{self.world.supabase.port}"

    @property
    def hosted_redis_url(self) -> str:
        """A queue outside every host."""
        return f"redis://{INTERNET_ADDRESS}:{self.world.redis.port}/0"

    def settings(self) -> dict[str, str]:
        """The worker's settings that name the world outside."""
        return {
            **{name: value for name, value in self.world.settings().items() if name != "REDIS_URL"},
            "SUPABASE_URL": self.supabase_url,
            "OPENAI_BASE_URL": f"http://{INTERNET_ADDRESS}:{self.world.simulator.port}/v1",
            "IMAGE_URL_TRUSTED_HOSTS": f"{INTERNET_ADDRESS}:{self.world.supabase.port}",
        }

    def provider(self) -> SimulatorClient:
        """The simulator's control; close it after use."""
        return self.world.simulator.control()

    def upload(self, sample: str | Path) -> str:
        """A signed address of one of the sandbox's sample pictures, or of a file, as the host reaches it."""
        with PlatformStorage(self.supabase_url, self.world.supabase.service_role_key) as storage:
            return storage.put_picture(SAMPLES / sample, Channel.B2C, UPLOADER)

    @property
    def issuer_path(self) -> Path:
        """The root certificate of what Pebble issues, for callers to trust."""
        return self.directory / "issuer.pem"

    def fetch_issuer(self) -> None:
        """Ask Pebble for it; a new one is made at each of its starts. Raises ``httpx.HTTPError``."""
        trusted = ssl.create_default_context(cafile=self.authority.certificate_path)
        with httpx.Client(verify=trusted, trust_env=False) as client:
            root = client.get(f"https://{INTERNET_ADDRESS}:{MANAGEMENT_PORT}/roots/0").raise_for_status().content
        self.issuer_path.write_bytes(root)

    def orders(self) -> int:
        """How many certificates Pebble has issued since it started."""
        return (self.directory / "pebble.log").read_text().count("Issued certificate serial")


@contextmanager
def running_internet(directory: Path) -> Iterator[Internet]:
    """Start all of it, from a thread that is in the internet's namespace, and stop it at the end."""
    directory.mkdir(parents=True, exist_ok=True)
    world = World.in_directory(directory / "world", fsync=False, fixed_result=True)
    internet = Internet(world, directory, Authority.create(directory, "acme"))
    with ExitStack() as stack:
        stack.callback(world.postgres.wipe)
        stack.enter_context(world.running())
        with redis.Redis.from_url(world.redis.url) as client:
            client.config_set("protected-mode", "no")  # else it takes callers of this machine alone
        _publish(world.redis.port, world.supabase.port, world.simulator.port)
        stack.enter_context(_name_server(directory))
        stack.enter_context(_acme_server(internet))
        yield internet


def _publish(*ports: int) -> None:
    """What listens on loopback answers at the internet's address, too.

    By the kernel: a forwarding program would bring requests late and in bunches, and a rate is measured here.
    """
    Path(f"/proc/sys/net/ipv4/conf/{INTERNET_LINK}/route_localnet").write_text("1")
    for port in ports:
        for chain in ("PREROUTING", "OUTPUT"):
            run(
                *("iptables", "--table", "nat", "--append", chain, "--protocol", "tcp"),
                *("--destination", INTERNET_ADDRESS, "--dport", str(port)),
                *("--jump", "DNAT", "--to-destination", f"{LOOPBACK}:{port}"),
            )


def _name_server(directory: Path) -> Background:
    """Knows the host's name and one that a preflight asks for; there is no AAAA."""

    def tell_the_names() -> bool:
        control = f"http://{LOOPBACK}:{NAMES_CONTROL_PORT}/add-a"
        try:
            for name in (DOMAIN, ACME_NAME):
                record = {"host": f"{name}.", "addresses": [HOST_ADDRESS]}
                httpx.post(control, json=record, trust_env=False).raise_for_status()
        except httpx.HTTPError:
            return False
        return True

    return Background(
        "the name server",
        *("pebble-challtestsrv", "-dns01", f"{INTERNET_ADDRESS}:{NAMES_PORT}", "-http01", "", "-https01", ""),
        *("-tlsalpn01", "", "-management", f"{LOOPBACK}:{NAMES_CONTROL_PORT}"),
        *("-defaultIPv4", "", "-defaultIPv6", ""),
        log_path=directory / "names.log",
        is_ready=tell_the_names,
    )


def _acme_server(internet: Internet) -> Background:
    internet.authority.server_context(internet.directory, INTERNET_ADDRESS)
    pair = str(internet.directory / f"server-{INTERNET_ADDRESS}.pem")
    configuration = {
        "pebble": {
            "listenAddress": f"{INTERNET_ADDRESS}:{ACME_PORT}",
            "managementListenAddress": f"{INTERNET_ADDRESS}:{MANAGEMENT_PORT}",
            "certificate": pair,
            "privateKey": pair,
            "httpPort": 80,
            "tlsPort": 443,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
        }
    }
    path = internet.directory / "pebble.json"
    path.write_text(json.dumps(configuration))

    def answers() -> bool:
        try:
            internet.fetch_issuer()
        except httpx.HTTPError:
            return False
        return True

    return Background(
        "the ACME server",
        *("pebble", "-config", path, "-dnsserver", f"{INTERNET_ADDRESS}:{NAMES_PORT}"),
        log_path=internet.directory / "pebble.log",
        env=PEBBLE_ENVIRONMENT,
        is_ready=answers,
    )
