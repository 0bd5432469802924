"""From what goes wrong to the message that WhatsApp accepts, the whole way (story 5.2, NFR-4.6).

Real: Prometheus with the shipped intervals, the provisioned rules and policy, the bridge, the worker where it says so.
Stand-ins: Meta's Cloud API, and in Grafana's place an evaluator of ours (ADR 0132).

The storms take their time. Conditions of half an hour and more do not: their past is written into a real Prometheus,
and the evaluator's clock runs through it as fast as it can; only the bridge and its message see the world's time.
"""

import math
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import pytest

from monitoring.alerting.policy import TIME_ZONE
from proofs.observability.evaluator import SHIPPED_FILES, Evaluator, EvaluatorThread, MadeUpClock
from sandbox.pictures.image_host import ImageHost
from sandbox.whatsapp_sim import WhatsAppSim
from sandbox.whatsapp_sim.server import Accepted
from sandbox.world import World
from tests.observability.alert_cases import DAY, EXPIRY, GIB, MINUTE, WAITING, cpu, disk, generations, health
from tests.observability.engine.bed import shipped_configuration
from tests.observability.engine.history import backfill
from tests.observability.engine.packages import Programs
from tests.observability.engine.prometheus import Prometheus
from tests.observability.engine.report import REPORT
from tests.observability.engine.shipped import on_loopback
from tests.observability.engine.storms import Lane, draw
from tests.observability.tracks import Track, flat, growing, steps
from tests.support.whatsapp_bridge import SECRET, Bridge
from tests.support.worker import Stage

pytestmark = pytest.mark.observability

TO: Final = "+4915112345678"

STORMS: Final = 20
ALLOWED_SECONDS: Final = 120.0
QUIET_SECONDS: Final = 300.0
"""The whole window of the rule is filled with good generations before a storm, which makes it slowest to see."""
SPREAD_SECONDS: Final = 90.0
LATEST_SECONDS: Final = 300.0
SEED: Final = 12

CERTIFICATE_DAYS: Final = 13.995
"""Just below two weeks, by as much as the expression rounds to a hundredth of a day."""

ON_THE_WAY: Final = timedelta(seconds=15 + 30 + 10 + 5)
"""Of a critical alert: a scrape, an evaluation, the group's wait, and the evaluator's own second or two."""

WARNING_ON_THE_WAY: Final = timedelta(seconds=15 + 30 + 60 + 5)
"""Warnings wait for others for a minute."""

DOWN_ALLOWED_SECONDS: Final = 300.0

FRIDAY: Final = 4


@dataclass(frozen=True, slots=True)
class Telephone:
    """The bridge, and what WhatsApp's stand-in accepted from it."""

    bridge: Bridge
    sim: WhatsAppSim

    @property
    def webhook_url(self) -> str:
        """Where Grafana would post."""
        return f"http://127.0.0.1:{self.bridge.port}/grafana"

    def messages_of(self, host: str) -> list[Accepted]:
        """What was accepted about one host, in its order."""
        return [message for message in list(self.sim.accepted) if host in message.parameters]

    def wait_for(self, host: str, number: int, within_seconds: float) -> list[Accepted]:
        """The messages about one host, once there are so many; fewer when it takes too long."""
        until = time.monotonic() + within_seconds
        while len(self.messages_of(host)) < number and time.monotonic() < until:
            time.sleep(0.1)
        return self.messages_of(host)


@pytest.fixture(scope="module")
def telephone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Telephone]:
    folder = tmp_path_factory.mktemp("bridge")
    with WhatsAppSim() as sim, Bridge(folder, sim.environment(TO)) as bridge:
        yield Telephone(bridge, sim)


# --- Storms -----------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(1200)
def test_an_error_storm_is_on_whatsapp_within_two_minutes(
    programs: Programs, telephone: Telephone, tmp_path: Path
) -> None:
    REPORT.say(f"{STORMS} storms, each after {QUIET_SECONDS / 60:.0f} quiet minutes and at a moment of its own")
    chance = random.Random(SEED)
    with ExitStack() as stack:
        lanes = []
        for number in range(STORMS):
            after, phase = draw(chance, quiet_seconds=QUIET_SECONDS, spread_seconds=SPREAD_SECONDS)
            lane = Lane(
                number, tmp_path / f"lane-{number}", programs.prometheus, telephone.webhook_url, SECRET, after, phase
            )
            lanes.append(stack.enter_context(lane))
        begun = let_storms_begin(lanes)
        REPORT.say("the storms have begun; waiting for the messages")
        seconds = [seconds_until_told(telephone, lane, begun[lane.number]) for lane in lanes]
    missing = [lane.number for lane, took in zip(lanes, seconds, strict=True) if math.isinf(took)]
    assert missing == [], "no message about these lanes"
    p95 = statistics.quantiles(seconds, n=20)[18]
    REPORT.proved(
        f"{STORMS} error storms, evaluator of ours with the shipped intervals: accepted by WhatsApp's stand-in after "
        f"{min(seconds):.0f} to {max(seconds):.0f} s, p50 {statistics.median(seconds):.0f} s, p95 {p95:.0f} s"
    )
    assert p95 < ALLOWED_SECONDS


def let_storms_begin(lanes: list[Lane]) -> dict[int, float]:
    """Begin each lane's storm at its moment; when that was, by the world's clock."""
    started = time.monotonic()
    begun = {}
    for lane in sorted(lanes, key=lambda lane: lane.storm_after_seconds):
        time.sleep(max(0.0, started + lane.storm_after_seconds - time.monotonic()))
        lane.worker.storm()
        begun[lane.number] = time.time()
    return begun


def seconds_until_told(telephone: Telephone, lane: Lane, begun: float) -> float:
    """From the storm's beginning to the accepted message; infinite without one."""
    messages = telephone.wait_for(lane.host, 1, within_seconds=max(0.0, begun + LATEST_SECONDS - time.time()))
    return messages[0].at_seconds - begun if messages else math.inf


# --- Long stories -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Story:
    """Something that goes wrong and is mended, over hours.

    Attributes:
        rule: its uid.
        series: from the moment of its beginning, in seconds since 1970.
        wrong_at: from when on the rule's condition holds.
        hold: the rule's ``for``.
        until: when it ends, in seconds since the beginning.
        words: what the message says.
        on_the_way: how long the message may take beyond that.
    """

    rule: str
    series: Callable[[float], dict[str, Track]]
    wrong_at: int
    hold: timedelta
    until: int
    words: str
    on_the_way: timedelta = ON_THE_WAY


def noon_of_a_working_day() -> float:
    """In the past, in seconds since 1970: business hours by the shipped time zone, whenever the test runs."""
    noon = datetime.now(ZoneInfo(TIME_ZONE)).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
    while noon.weekday() > FRIDAY:
        noon -= timedelta(days=1)
    return noon.timestamp()


def busy(seconds: float) -> float:
    """Two processors: a tenth of both, and nearly all of both for a quarter of an hour."""
    courses = (
        growing(12, until=5 * MINUTE),
        growing(114, since=5 * MINUTE, until=20 * MINUTE),
        growing(12, since=20 * MINUTE),
    )
    return sum(float(course(seconds) or 0) for course in courses)


def interrupted(rate: float, since: float, until: float) -> Track:
    """A counter that stands still between two moments."""
    before, after = growing(rate, until=since), growing(rate, since=until)
    return lambda seconds: float(before(seconds) or 0) + float(after(seconds) or 0)


STORIES: Final = (
    Story(
        "queue-stalled",
        lambda _: generations(interrupted(2, 5 * MINUTE, 45 * MINUTE), flat(0)) | {WAITING: flat(5)},
        35 * MINUTE,
        timedelta(minutes=1),
        60 * MINUTE,
        "Tasks wait, and none was processed for 30 minutes",
    ),
    Story(
        "worker-degraded",
        lambda _: (
            health()
            | {
                name: steps((0, 1), (5 * MINUTE, 0), (15 * MINUTE, 1))
                for name in health()
                if 'component="redis"' in name
            }
        ),
        5 * MINUTE,
        timedelta(minutes=2),
        25 * MINUTE,
        "Does not work for 2 minutes: Redis, the platform's queue",
    ),
    Story(
        "disk-low",
        lambda _: (
            disk(steps((0, 9 * GIB), (5 * MINUTE, 1.5 * GIB), (20 * MINUTE, 9 * GIB)))
            | disk(flat(1e6), "/run", "tmpfs")
        ),
        5 * MINUTE,
        timedelta(minutes=5),
        30 * MINUTE,
        "Less than 2 GB of disk are left on /",
    ),
    Story(
        "certificate-expires",
        lambda base: {EXPIRY: steps((0, base + CERTIFICATE_DAYS * DAY + 5 * MINUTE), (20 * MINUTE, base + 64 * DAY))},
        5 * MINUTE,
        timedelta(minutes=5),
        30 * MINUTE,
        "The certificate that the site serves ends in less than 14 days",
    ),
    Story(
        "cpu-high",
        lambda _: cpu(busy),
        6 * MINUTE + 45,  # from then on the rate over two minutes is above 85 %
        timedelta(minutes=5),
        35 * MINUTE,
        "The host's processors have been more than 85 % busy for 5 minutes",
        WARNING_ON_THE_WAY,
    ),
    Story(
        "no-tasks-in-business-hours",
        lambda _: generations(interrupted(2, 5 * MINUTE, 45 * MINUTE), flat(0)),
        35 * MINUTE,
        timedelta(0),
        60 * MINUTE,
        "No generation was processed for 30 minutes, in business hours",
        WARNING_ON_THE_WAY,
    ),
)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.rule)
def test_what_takes_long_is_told_when_it_begins_and_when_it_is_over(
    story: Story, programs: Programs, telephone: Telephone, tmp_path: Path
) -> None:
    base = noon_of_a_working_day()
    prometheus = Prometheus(tmp_path / "prometheus", programs.prometheus)
    backfill(prometheus, programs.promtool, story.series(base), base=base, until_seconds=story.until)
    prometheus.configure({"scrape_configs": []})
    host = f"{story.rule}.example.com"
    with prometheus:
        begins = datetime.fromtimestamp(base, UTC)
        evaluator = Evaluator(
            SHIPPED_FILES,
            prometheus.url,
            telephone.webhook_url,
            SECRET,
            clock=MadeUpClock(begins + timedelta(minutes=1)),
            external_url=f"https://{host}/grafana/",
            only=frozenset({story.rule}),
        )
        evaluator.run(begins + timedelta(seconds=story.until))
    told = [message for message in evaluator.posted if message.receiver == "whatsapp"]
    assert [{state for _, state in message.alerts} for message in told] == [{"firing"}, {"resolved"}]
    took = told[0].at - begins - timedelta(seconds=story.wrong_at)
    assert story.hold <= took <= story.hold + story.on_the_way
    first, last = telephone.wait_for(host, 2, within_seconds=60)
    assert story.words in first.text
    assert "RESOLVED" in last.text
    REPORT.proved(
        f"{story.rule}: told {took.total_seconds():.0f} s after its condition began to hold, and its end as well "
        "(evaluator of ours, its clock running through a real Prometheus' past)"
    )


# --- A real worker ----------------------------------------------------------------------------------------------------


@pytest.mark.timeout(600)
def test_a_real_worker_without_redis_is_on_whatsapp_within_five_minutes(
    programs: Programs, telephone: Telephone, tmp_path: Path
) -> None:
    host = "redis-down.example.com"
    world = World.in_directory(tmp_path / "world", fixed_result=True)
    with ExitStack() as stack:
        stack.callback(world.postgres.wipe)
        stack.enter_context(world.running())
        stage = Stage(world, stack.enter_context(ImageHost()), tmp_path / "workers")
        stack.callback(stage.close)
        worker = stage.worker()
        worker.start()
        prometheus = Prometheus(tmp_path / "prometheus", programs.prometheus)
        configuration, _ = on_loopback(shipped_configuration(), {"worker": [f"127.0.0.1:{worker.port}"]}, {})
        prometheus.configure(configuration)
        stack.enter_context(prometheus)
        evaluator = Evaluator(
            SHIPPED_FILES, prometheus.url, telephone.webhook_url, SECRET,
            external_url=f"https://{host}/grafana/", only=frozenset({"worker-degraded", "worker-gone"}),
        )  # fmt: skip
        stack.enter_context(EvaluatorThread(evaluator))
        prometheus.wait_until(
            lambda: prometheus.query('min(wearon_component_up{job="worker"}) == 1'), "all is well", seconds=60
        )
        world.redis.stop()
        down = time.time()
        told = told_about_redis(telephone, host, within_seconds=DOWN_ALLOWED_SECONDS)
        world.redis.start()
    assert told is not None, f"no message about Redis; {evaluator.posted}"
    REPORT.proved(
        f"Redis down under a real worker: on WhatsApp's stand-in after {told.at_seconds - down:.0f} s, of which the"
        " rule waits 120 (evaluator of ours)"
    )


def told_about_redis(telephone: Telephone, host: str, *, within_seconds: float) -> Accepted | None:
    """The first message that names Redis."""
    until = time.monotonic() + within_seconds
    while time.monotonic() < until:
        for message in telephone.messages_of(host):
            if "Redis, the platform's queue" in message.text:
                return message
        time.sleep(0.2)
    return None
