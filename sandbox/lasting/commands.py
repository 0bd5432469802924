"""The commands about the lasting sandbox: start it and keep it running, look at it, wipe it."""

import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from models.generation import SessionStatus
from sandbox.console.bring_up import TITLES, brought_up
from sandbox.console.progress import Console, Style
from sandbox.lasting.home import SandboxHome
from sandbox.lasting.keeping import Keeper
from sandbox.platform.state import SESSION_TABLES, PlatformDatabase
from sandbox.servers.local_server import LocalServer
from sandbox.servers.postgres import DATABASE, SUPERUSER
from sandbox.servers.processes import LOOPBACK
from sandbox.servers.worker import LocalWorker
from sandbox.world import World

EXIT_OK: Final = 0
EXIT_NOT_RUNNING: Final = 3
"""As ``service status`` says "program is not running" (Linux Standard Base, init script actions)."""

WATCH_SECONDS: Final = 0.5
"""Between two looks at the parts."""

PROBE_SECONDS: Final = 1.0
"""For a connection to a port on this machine."""

SHOWN_STATUSES: Final = (
    SessionStatus.QUEUED,
    SessionStatus.PROCESSING,
    SessionStatus.COMPLETED,
    SessionStatus.FAILED,
)


@dataclass(frozen=True, slots=True)
class Part:
    """One line of the table of what runs where."""

    name: str
    address: str
    remark: str


def shortest(path: Path) -> str:
    """``path`` as a person in the current directory would type it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def command_line(arguments: str, home: SandboxHome | None = None) -> str:
    """How to call this program again, with the same Python and the same data."""
    # The link in .venv, not what it points to.
    python = shortest(Path(sys.executable).absolute())
    data = "" if home is None or home.directory == SandboxHome().directory else f" --data {shortest(home.directory)}"
    return f"{python} -m sandbox {arguments}{data}"


def parts_of(world: World, worker: LocalWorker) -> list[Part]:
    """What runs where. No secret is shown: a remark says where to find it."""
    dsn = f"postgresql://{SUPERUSER}@{world.postgres.host}:{world.postgres.port}/{DATABASE}"
    simulator = f"http://{world.simulator.host}:{world.simulator.port}"
    return [
        Part("worker", f"{worker.url}/health", f"metrics at /metrics; log {shortest(worker.log_path)}"),
        Part("Redis", world.redis.url, "the platform's queue and Celery's broker"),
        Part("Postgres", dsn, f"password in {shortest(world.postgres.directory / 'password')}"),
        Part("Supabase API", world.supabase.url, f"keys in {shortest(world.supabase.directory / 'keys.json')}"),
        Part("OpenAI simulator", f"{simulator}/v1", f"its faults: {simulator}/_sim/faults"),
    ]


def table(parts: Sequence[Part]) -> list[str]:
    """The parts in aligned columns."""
    name_width = max(len(part.name) for part in parts)
    address_width = max(len(part.address) for part in parts)
    return [f"  {part.name:<{name_width}}  {part.address:<{address_width}}  {part.remark}" for part in parts]


def start(home: SandboxHome, console: Console, *, latency: str) -> int:
    """Run everything until Ctrl-C. Raises ``SandboxIsRunning`` or ``StartupFailed``."""
    with home.held():
        is_new = not home.remembered_ports()
        console.line(f"{'Making a new sandbox in' if is_new else 'Starting the sandbox of'} {shortest(home.directory)}")
        ports, moved = home.settle_ports()
        for part in moved:
            console.line(f"  The port of {part} is taken; it now has {ports[part]}, older signed URLs are dead.")
        world = home.world(ports, latency=latency)
        worker = home.worker(world, ports)
        servers: list[LocalServer] = [*world.servers, worker]
        try:
            with brought_up(servers, console):
                _explain(world, worker, home, console)
                _keep_running(servers, console)
        except KeyboardInterrupt:
            console.line(f"The data stays in {shortest(home.directory)}.")
    return EXIT_OK


def _explain(world: World, worker: LocalWorker, home: SandboxHome, console: Console) -> None:
    console.heading("The sandbox is running")
    for line in table(parts_of(world, worker)):
        console.line(line)
    console.line()
    for what, how in (
        ("push a task", f"{command_line('push --b2c', home)}   (or --b2b; --help says more)"),
        ("see how it is", command_line("status", home)),
        ("be the operator", f"{command_line('wearon', home)} status   (wearon --help says more)"),
        ("stop", "Ctrl-C here; the data survives"),
        ("wipe the data", f"{command_line('reset', home)}   (when stopped)"),
    ):
        console.line(f"  {what:<14} {how}")
    console.line()


def _keep_running(servers: Sequence[LocalServer], console: Console) -> None:
    keeper = Keeper(servers, console)
    while True:
        time.sleep(WATCH_SECONDS)
        keeper.round()


def reset(home: SandboxHome, console: Console) -> int:
    """Delete the data. Raises ``SandboxIsRunning``."""
    if not home.directory.exists():
        console.line(f"Nothing to wipe: there is no {shortest(home.directory)}.")
        return EXIT_OK
    home.wipe()
    console.line(f"The sandbox in {shortest(home.directory)} is wiped; the next start makes a new one.")
    return EXIT_OK


def status(home: SandboxHome, console: Console) -> int:
    """Say what runs and how many tasks and sessions there are. Raises ``SandboxIsNotRunning``."""
    world, worker = home.running_world()
    answers = {server.name: _answers(server) for server in (*world.servers, worker)}
    console.line(f"The sandbox of {shortest(home.directory)} is running.")
    for line in table(parts_of(world, worker)):
        console.line(line)
    for name in (name for name, is_there in answers.items() if not is_there):
        console.line(f"  {TITLES[name]} does not answer.", Style.BAD)
    if answers["worker"]:
        console.line(f"  worker: {_health(worker)}")
    if answers["redis"] and answers["postgres"]:
        with world.producer() as platform:
            console.line(f"  sessions: {_session_counts(platform)}; waiting in the queue: {platform.queue_length()}")
    return EXIT_OK


def _session_counts(platform: PlatformDatabase) -> str:
    # Only names of our own are put into the query.
    both = " UNION ALL ".join(f"SELECT status FROM {name}" for name in SESSION_TABLES.values())  # noqa: S608 - see above
    query = f"SELECT count(*) FROM ({both}) AS sessions WHERE status = %s"  # noqa: S608 - see above
    return ", ".join(f"{platform.value(query, status)} {status}" for status in SHOWN_STATUSES)


def _answers(server: LocalServer) -> bool:
    try:
        with socket.create_connection((LOOPBACK, server.port), timeout=PROBE_SECONDS):
            return True
    except OSError:
        return False


def _health(worker: LocalWorker) -> str:
    try:
        health = worker.health()
    except (httpx.HTTPError, ValueError) as error:
        return f"no answer to /health ({type(error).__name__})"
    return ", ".join(f"{name} {str(value).lower()}" for name, value in health.items())
