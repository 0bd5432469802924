"""Runs only where it is asked for: ``pytest -m infra tests/infra``, as ``make test-infra`` does."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import pytest

from tests.infra.engine.calls import Caller
from tests.infra.engine.docker import EventWatch
from tests.infra.engine.full_disk import FullDisk, run_with_full_disk
from tests.infra.engine.host import Host
from tests.infra.engine.ill_redis import IllRedis, run_with_ill_redis
from tests.infra.engine.internet import DOMAIN
from tests.infra.engine.neighbours import neighbour
from tests.infra.engine.report import Report, table
from tests.infra.engine.rig import REPOSITORY, Rig, running_rig
from tests.infra.engine.shop import Shop, door_to_redis, open_shop
from tests.infra.engine.two_hosts import Outcome, run_two_hosts
from tests.infra.engine.waiting import wait_for

MARKER: Final = "infra"
ROOM: Final = Path(__file__).parent

ORDER: Final = (
    *("test_first_deploy", "test_monitoring", "test_door", "test_certificates", "test_waiting_for_redis"),
    *("test_addresses", "test_env_values", "test_bounds", "test_image", "test_ill_monitor", "test_full_disk"),
    *("test_two_hosts", "test_ill_redis", "test_restarts", "test_deploy", "test_backup", "test_ssh"),
    "test_forgotten_workers",
)
"""Up to the two hosts nothing asks the platform or the provider for anything, so they have both to themselves. The
classic builder's image is looked at before the first deploy that prunes. The workers that deploys replace are to be
forgotten two minutes later; a Prometheus that was restarted meanwhile would show them for five."""

BUSY: Final = ("test_first_deploy", "test_monitoring", "test_door")

BEGUN_AT_ONCE: Final = ("redis_away", "ill_redis", "classic_image", "full_disk")
BEGUN_LATER: Final = ("two_hosts", "ill_loki")
"""When the tests that keep the processors busy, or ask what every monitor says, are over."""

REPORT: Final = Report()
PARTS: Final[list[str]] = []
"""The table's lines, once the run knows them."""


def pytest_sessionstart() -> None:
    """A run that is told to stop must clean up, too."""
    signal.signal(signal.SIGTERM, _stop)


def _stop(*_: object) -> NoReturn:
    raise KeyboardInterrupt("told to stop")


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """``make test`` must neither need Docker nor touch it."""
    return None if config.option.markexpr == MARKER else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """This room in the order that lets what takes long run beside what does not mind; other rooms as they are."""
    room = {path for path in {item.path for item in items} if path.is_relative_to(ROOM)}
    ours = [item for item in items if item.path in room]
    for item in ours:
        item.add_marker(MARKER)
    ours.sort(key=lambda item: ORDER.index(item.path.stem) if item.path.stem in ORDER else 0)
    items[:] = [*ours, *(item for item in items if item.path not in room)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was proved, and with what."""
    if not PARTS:
        return
    terminalreporter.section("what was proved")
    for line in (*REPORT.lines, "", *PARTS):
        terminalreporter.line(line)


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    """Engine, network, internet and images."""
    with running_rig(REPORT) as bed:
        PARTS.extend(table(bed.parts))
        yield bed


VERSION: Final = "9.8.7"
REVISION: Final = "0123456789abcdef0123456789abcdef01234567"
"""What the image of the classic builder is told to be."""


def build_classic(rig: Rig) -> str:
    """See ``classic_image``."""
    tag = f"{rig.images.worker}:classic"
    labels = ("--build-arg", f"VERSION={VERSION}", "--build-arg", f"REVISION={REVISION}")
    rig.maker.build_worker(REPOSITORY, tag, *labels, buildkit=False)
    return tag


@dataclass(frozen=True, slots=True)
class FirstDeploy:
    """How a bare host became one that serves: what first-deploy printed, and what the engine saw."""

    output: str
    seconds: float
    events: EventWatch


GRAFANA_PORT: Final = 3_000
GRAFANA_FOUND_WITHIN_SECONDS: Final = 5.0

FROM_THE_ENVIRONMENT: Final = ("SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL")
"""The settings that first-deploy finds in its environment; the one for pictures on private addresses is no
operator's."""


@pytest.fixture(scope="session")
def first_deploy(rig: Rig) -> FirstDeploy:
    """``first-deploy.sh`` of this repository, on a host that has nothing but Docker."""
    host, settings = rig.host, rig.internet.settings()
    host.home.mkdir()
    host.cron_directory.mkdir()
    host.command_directory.mkdir()
    not_asked_for = {name: settings[name] for name in ("IMAGE_URL_TRUSTED_HOSTS",)}
    not_asked_for["DOCKER_SOCKET"] = str(rig.docker.socket)
    (host.home / ".env").write_text("".join(f"{name}={value}\n" for name, value in not_asked_for.items()))
    given = {name: settings[name] for name in FROM_THE_ENVIRONMENT}
    rig.report.say("first-deploy.sh on a bare host")
    began_at = time.monotonic()
    with EventWatch(rig.docker) as events:
        output = host.script(
            *("first-deploy.sh", "--tag", rig.images.worker_tag, DOMAIN),
            bundle=REPOSITORY,
            env={"CERTBOT_EMAIL": "ops@wearon.example", **given},
        )
    return FirstDeploy(output, time.monotonic() - began_at, events)


@dataclass(frozen=True, slots=True)
class AwayRedis:
    """A second project whose worker was started at ``since`` (steady clock, seconds) without a Redis."""

    host: Host
    since: float


@pytest.fixture(scope="session")
def background() -> Iterator[ThreadPoolExecutor]:
    """One thing after the other, beside the tests."""
    with ThreadPoolExecutor(1, "background") as thread:
        yield thread


@pytest.fixture(scope="session")
def classic_image(rig: Rig, background: ThreadPoolExecutor) -> Future[str]:
    """The production image by the classic builder, with version and commit; its tag."""
    return background.submit(build_classic, rig)


@pytest.fixture(scope="session")
def full_disk(rig: Rig, background: ThreadPoolExecutor) -> Future[FullDisk]:
    """An engine of its own, whose disk is small."""
    return background.submit(run_with_full_disk, rig)


@pytest.fixture(scope="session")
def two_hosts(rig: Rig, first_deploy: FirstDeploy, background: ThreadPoolExecutor) -> Future[Outcome]:
    """Two more hosts at work."""
    return background.submit(run_two_hosts, rig)


@pytest.fixture(autouse=True)
def _what_takes_long(request: pytest.FixtureRequest) -> None:
    """Starts it early, where a test asks for it."""
    wanted = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    is_busy = request.node.path.stem in BUSY
    for name in (*BEGUN_AT_ONCE, *(() if is_busy else BEGUN_LATER)):
        if name in wanted:
            request.getfixturevalue(name)


@pytest.fixture(scope="session")
def redis_away(rig: Rig, first_deploy: FirstDeploy) -> Iterator[AwayRedis]:
    """Started early, so that the three minutes go by while other proofs run."""
    host = Host(rig.place / "away", rig.docker, rig.images, rig.internet, project="away")
    host.unpack(REPOSITORY)
    host.configure(host.settings())
    host.compose("up", "-d", "--no-deps", "worker")
    yield AwayRedis(host, time.monotonic())
    host.remove()


@pytest.fixture(scope="session")
def ill_redis(rig: Rig, first_deploy: FirstDeploy) -> Iterator[Future[IllRedis]]:
    """Nearly all of it is waiting, so it has a thread beside the others."""
    with ThreadPoolExecutor(1, "ill-redis") as thread:
        yield thread.submit(run_with_ill_redis, rig)


@pytest.fixture(scope="session")
def ill_loki(rig: Rig, first_deploy: FirstDeploy) -> str:
    """Loki's container, whose health check fails from now on; it takes three checks until the engine says so."""
    rig.host.wait_healthy("loki")
    loki = rig.host.container("loki")
    rig.docker("exec", loki, "rm", "/loki/www/ready")
    return loki


@pytest.fixture
def host(rig: Rig, first_deploy: FirstDeploy) -> Host:
    """A host that serves, whatever the test before did to it."""
    if not all(rig.host.is_healthy(service) for service in ("redis", "worker", "nginx")):
        rig.host.compose("up", "-d", "--wait")
    return rig.host


@pytest.fixture
def caller(rig: Rig) -> Caller:
    """Somebody on the internet who trusts the certificate authority."""
    return Caller(rig.internet.issuer_path)


@pytest.fixture
def shop(rig: Rig, host: Host) -> Iterator[Shop]:
    """The platform, pushing to the host's own Redis; the provider answers at once and counts from zero."""
    with rig.internet.provider() as provider:
        provider.reset()
    with door_to_redis(host) as url, open_shop(rig.internet, url) as opened:
        yield opened


@pytest.fixture(scope="module")
def grafana(rig: Rig, first_deploy: FirstDeploy) -> Iterator[None]:
    """An echo in the place of Grafana's stand-in, found by nginx."""
    host, caller = rig.host, Caller(rig.internet.issuer_path)
    stand_in = host.container("grafana")
    host.docker("stop", stand_in)
    with ExitStack() as stack:
        stack.callback(host.docker, "start", stand_in)
        stack.enter_context(neighbour(host, "grafana", port=GRAFANA_PORT, alias="grafana"))
        wait_for(
            "nginx finds Grafana",
            lambda: caller.ask("GET", "/grafana/api/health").is_success,
            seconds=GRAFANA_FOUND_WITHIN_SECONDS,
        )
        yield
