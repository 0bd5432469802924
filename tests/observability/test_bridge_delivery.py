"""An alert is accepted by the Cloud API within 60 s of Grafana's post (story 5.1): p95 over 100 posts.

Meanwhile the bridge is killed once and the API is away for five minutes once. The real bridge as a process, posts as
Grafana makes them (signed; one that fails comes again at the next ``group_interval``), our stand-in of the Cloud API.

**How the 100 are spread.** While the API is away nothing can be accepted, so every post of its first four minutes is
late, whatever the bridge does. Of 100 posts at one rate no more than five fall into these minutes only if the 100 take
83 minutes or longer; on a real host a hundred notifications are days. So three posts fall into the outage here, one
every 105 seconds, and the others come before and after it at one every 2.4 s, which is faster than Meta lets one
recipient be written to (one every 6 s, beyond a burst). ``WEARON_DELIVERY_MINUTES=90`` spreads all 100 evenly instead.
"""

import os
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import pytest

from sandbox.whatsapp_sim import WhatsAppSim
from tests.observability.engine.report import REPORT
from tests.support.whatsapp_bridge import Bridge, notification

pytestmark = [pytest.mark.observability, pytest.mark.timeout(3 * 3600)]

POSTS: Final = 100
ALLOWED_SECONDS: Final = 60.0
"""Story 5.1."""

AWAY_SECONDS: Final = 300.0
BEFORE_SECONDS: Final = 115.0
AFTER_SECONDS: Final = 115.0
IN_THE_OUTAGE: Final = (60.0, 165.0, 270.0)
"""When posts fall into the outage, in seconds since it began."""

KILLED_AT_POST: Final = 20
"""Taken, and on its way to Meta, when the bridge is killed; the next post comes at once and finds nobody."""

AT_ONCE_SECONDS: Final = 0.3

RESTART_SECONDS: Final = 1.0
"""From the end of a container's process to its next start: Docker takes less."""

GROUP_INTERVAL_SECONDS: Final = 60.0
"""Of the shipped policy for critical alerts: when Grafana posts again what failed."""

META_TAKES_SECONDS: Final = 0.5

LAST_WITHIN_SECONDS: Final = 180.0

TO: Final = "+4915112345678"


@dataclass(frozen=True, slots=True)
class Plan:
    """When what happens, in seconds since the beginning."""

    posts: tuple[float, ...]
    away_at: float


def plan() -> Plan:
    """The spread that the module describes."""
    if minutes := os.environ.get("WEARON_DELIVERY_MINUTES"):
        every = float(minutes) * 60 / POSTS
        return Plan(_with_the_one_that_finds_nobody([number * every for number in range(POSTS)]), POSTS // 2 * every)
    outside = POSTS - len(IN_THE_OUTAGE)
    first, last = outside // 2, outside - outside // 2
    before = [BEFORE_SECONDS * number / first for number in range(first)]
    during = [BEFORE_SECONDS + at for at in IN_THE_OUTAGE]
    back_at = BEFORE_SECONDS + AWAY_SECONDS
    after = [back_at + AFTER_SECONDS * number / last for number in range(last)]
    return Plan(_with_the_one_that_finds_nobody([*before, *during, *after]), BEFORE_SECONDS)


def _with_the_one_that_finds_nobody(posts: list[float]) -> tuple[float, ...]:
    """The post after the one at which the bridge is killed, moved up to it."""
    posts[KILLED_AT_POST] = posts[KILLED_AT_POST - 1] + AT_ONCE_SECONDS
    return tuple(posts)


class Grafana:
    """Posts at the planned times; what fails comes again one group interval later."""

    def __init__(self, bridge: Bridge, started: float) -> None:
        self._bridge, self._started = bridge, started
        self.first_posted_at: dict[str, float] = {}
        """By the time of day, as the stand-in keeps it."""
        self.failed = 0
        self.taken: list[str] = []
        self.changed = threading.Condition()

    def run(self, times: Sequence[float]) -> None:
        """Post them all, and end when all were taken."""
        due = sorted((at, f"post {number}") for number, at in enumerate(times))
        while due:
            at, name = due.pop(0)
            time.sleep(max(0.0, self._started + at - time.monotonic()))
            self.first_posted_at.setdefault(name, time.time())
            try:
                self._bridge.post(notification(name)).raise_for_status()
            except httpx.HTTPError:
                self.failed += 1
                due = sorted([*due, (at + GROUP_INTERVAL_SECONDS, name)])
                continue
            with self.changed:
                self.taken.append(name)
                self.changed.notify_all()


def kill_once(bridge: Bridge, grafana: Grafana, sim: WhatsAppSim) -> int:
    """Kill the bridge while a message is on its way, and start it; returns how many messages Meta had then."""
    with grafana.changed:
        grafana.changed.wait_for(lambda: len(grafana.taken) >= KILLED_AT_POST)
    there = len(sim.accepted)
    bridge.kill()
    time.sleep(RESTART_SECONDS)
    bridge.start()
    return there


def test_an_alert_is_accepted_within_a_minute(tmp_path: Path) -> None:
    planned = plan()
    with WhatsAppSim() as sim, Bridge(tmp_path, sim.environment(TO)) as bridge:
        sim.answer_after_seconds = META_TAKES_SECONDS
        started = time.monotonic()
        grafana = Grafana(bridge, started)
        posting = threading.Thread(target=grafana.run, args=(planned.posts,))
        posting.start()
        had_when_killed = kill_once(bridge, grafana, sim)
        time.sleep(max(0.0, started + planned.away_at - time.monotonic()))
        sim.away()
        time.sleep(AWAY_SECONDS)
        sim.back()
        posting.join()
        bridge.wait_for_health(LAST_WITHIN_SECONDS, queue_messages=0)
        accepted = sim.accepted
        log = bridge.log("nothing_is_sent")

    first_accepted: dict[str, float] = {}
    for message in accepted:
        first_accepted.setdefault(message.parameters[0].removeprefix("CRITICAL: "), message.at_seconds)
    assert set(first_accepted) == {f"post {number}" for number in range(POSTS)}, "nothing is lost"
    waited = sorted(first_accepted[name] - grafana.first_posted_at[name] for name in first_accepted)
    p95 = waited[POSTS * 95 // 100 - 1]
    late = [seconds for seconds in waited if seconds > ALLOWED_SECONDS]
    minutes = (time.monotonic() - started) / 60
    REPORT.say(
        f"bridge: {POSTS} posts in {minutes:.1f} min; killed -9 once after {had_when_killed} accepted, "
        f"{grafana.failed} post(s) found nobody; API away {AWAY_SECONDS:g} s once, {len(log)} tries meanwhile"
    )
    REPORT.say(
        f"bridge: accepted after Grafana's first post: median {statistics.median(waited):.1f} s, p95 {p95:.1f} s, max "
        f"{waited[-1]:.1f} s; later than {ALLOWED_SECONDS:g} s: {[round(seconds) for seconds in late]}; lost 0, "
        f"sent twice {len(accepted) - POSTS} (stand-in of Meta's API)"
    )
    assert grafana.failed >= 1, "the kill was met"
    assert len(accepted) - POSTS <= 1, "a kill sends one message twice at most"
    assert p95 <= ALLOWED_SECONDS
