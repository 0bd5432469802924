"""A deploy loses no request and no task, whatever happens in the middle of it (story 6.2, NFR-2.1, ADR-6)."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.infra.conftest import FirstDeploy
from tests.infra.engine.calls import Caller, SteadyCalls, expect_all_well
from tests.infra.engine.docker import EventWatch
from tests.infra.engine.host import Host
from tests.infra.engine.rig import WORKER_TAG, Rig
from tests.infra.engine.scraping import TargetWatch, wait_all_up
from tests.infra.engine.shop import Shop
from tests.support.script_host import steps_of

PROVIDER_SECONDS = "30"
"""What a picture takes on a good day (NFR-1.1)."""

TASKS = 40
DELIVERED_WITHIN_SECONDS = 120.0
PUSH_INTERVAL_SECONDS = 1.0

SECOND = "second"
BROKEN = "broken"

SET_ASIDE = "set-aside:first"
"""The first release under a name that no deploy prunes."""

KEPT_TAGS = 3
"""What pruning leaves of the worker's images (scripts/lib/names.sh)."""

STOPPED_BY_ITSELF = "STOP"
"""How a script begins its last words; one that is killed has none."""

STAND_INS = ("nginx", "redis", "python", "provider", "platform")


@pytest.fixture(scope="module")
def second_release(rig: Rig, first_deploy: FirstDeploy) -> Iterator[str]:
    """A tag of another worker image; when all is over the first one is in force again."""
    _make_second(rig)
    yield SECOND
    if rig.host.release_in_force() != WORKER_TAG:
        rig.host.script("deploy.sh", WORKER_TAG)


def _make_second(rig: Rig) -> None:
    rig.maker.release(rig.images, f"{rig.images.worker}:{WORKER_TAG}", SECOND)


def test_a_deploy_in_the_middle_of_forty_tasks_fails_no_request_and_delivers_every_task(
    rig: Rig, host: Host, caller: Caller, shop: Shop, second_release: str
) -> None:
    with rig.internet.provider() as provider:
        provider.set_latency(PROVIDER_SECONDS)
    tasks = shop.submit(TASKS // 2)
    shop.wait_under_way(tasks, seconds=DELIVERED_WITHIN_SECONDS)
    began_at = time.monotonic()
    with (
        SteadyCalls(caller, photo(rig)) as calls,
        EventWatch(rig.docker) as events,
        TargetWatch(host) as watch,
        ThreadPoolExecutor() as threads,
    ):
        deploy = threads.submit(host.script, "deploy.sh", second_release)
        for _ in range(TASKS - TASKS // 2):
            tasks += shop.submit(1)
            time.sleep(PUSH_INTERVAL_SECONDS)
        deploy.result()
        seconds = time.monotonic() - began_at
        shop.wait_delivered(tasks, seconds=DELIVERED_WITHIN_SECONDS)

    healthy, stopped = events.of("worker", "health_status: healthy")[0], events.of("worker", "die")[0]
    assert healthy.at_nanoseconds < stopped.at_nanoseconds
    expect_all_well(host, calls.answers)
    assert shop.wrong_credits() == []
    assert watch.most_up_at_once == 2, "both replicas are asked while both run"
    up = wait_all_up(host)
    assert [target.job for target in up].count("worker") == 1, "the drained one is forgotten, and not down"
    rig.report.proved(
        "targets during that deploy: both workers up at once, afterwards one, and nothing down",
        f"{len(up)} targets up; seen down meanwhile: {dict(watch.down) or 'none'}",
        stand_ins=(*STAND_INS, "prometheus"),
    )
    rig.report.proved(
        f"deploy in the middle of {TASKS} tasks of {PROVIDER_SECONDS} s: old one stopped when the new one was well",
        f"{seconds:.0f} s; {calls.answers}; {len(tasks)} delivered, 0 wrong credits",
        stand_ins=STAND_INS,
    )


def test_a_rollback_is_a_deploy_of_the_tag_before(
    rig: Rig, host: Host, caller: Caller, shop: Shop, second_release: str
) -> None:
    if host.release_in_force() != second_release:
        host.script("deploy.sh", second_release)
    tasks = shop.submit(4)
    with SteadyCalls(caller, None) as calls:
        host.script("deploy.sh", "rollback")
    shop.wait_delivered(tasks, seconds=DELIVERED_WITHIN_SECONDS)
    assert host.release_in_force() == WORKER_TAG
    expect_all_well(host, calls.answers)
    rig.report.proved("rollback", f"{calls.answers}; {len(tasks)} tasks delivered", stand_ins=STAND_INS)


def test_a_newcomer_that_does_not_get_well_leaves_the_old_worker_alone_and_the_deploy_fails(
    rig: Rig, host: Host, caller: Caller, shop: Shop
) -> None:
    repository = rig.images.worker
    rig.maker.derive(
        f"{repository}:{WORKER_TAG}", f"{repository}:{BROKEN}", 'CMD ["sh", "-c", "echo no model; exit 1"]'
    )
    old, in_force = host.container("worker"), host.release_in_force()
    with SteadyCalls(caller, None) as calls:
        status, output = host.attempt_script("deploy.sh", BROKEN)
    assert status != 0
    assert "no model" in output
    assert host.container("worker") == old
    assert host.release_in_force() == in_force
    expect_all_well(host, calls.answers)
    rig.report.proved(
        "broken newcomer: its words are shown, it is removed, the old one never noticed",
        f"exit status {status}; {calls.answers}",
        stand_ins=STAND_INS,
    )


def test_up_by_hand_after_any_step_of_a_killed_deploy_leaves_a_healthy_worker(
    rig: Rig, host: Host, caller: Caller
) -> None:
    fewest, volumes = [], rig.docker("volume", "ls", "--quiet")
    first = f"{rig.images.worker}:{WORKER_TAG}"
    rig.docker("tag", first, SET_ASIDE)  # its own tag is pruned on the way
    steps = steps_of("deploy.sh")
    for number, step in enumerate(steps, start=1):
        tag = f"release-{number}"
        rig.maker.release(rig.images, SET_ASIDE, tag)
        with HealthyWorkers(host) as workers, SteadyCalls(caller, None) as calls:
            status, output = host.attempt_script("deploy.sh", tag, env={"WEARON_FAIL_AFTER": step})
            host.compose("up", "-d", "--wait")
        assert status != 0, f"not killed after {step}"
        assert STOPPED_BY_ITSELF not in output, f"ended before it was killed after {step}"
        assert len(host.containers("worker")) == 1, f"after {step}"
        assert (host.release_in_force() == tag) == (steps.index(step) >= steps.index("in-force")), f"after {step}"
        assert workers.fewest >= 1, f"after {step}"
        expect_all_well(host, calls.answers)
        fewest.append(f"{step} {workers.fewest}")
    rig.docker("tag", SET_ASIDE, first)
    rig.maker.keep_bridge(rig.images, WORKER_TAG)
    host.script("deploy.sh", WORKER_TAG)
    left = worker_tags(rig)
    assert len(left) == KEPT_TAGS
    assert WORKER_TAG in left
    assert rig.docker("volume", "ls", "--quiet") == volumes
    rig.report.proved(
        "deploy killed after each step, then `up -d` by hand (docker/compose #4923)",
        f"fewest healthy workers seen after {', '.join(fewest)}; no request failed; {len(left)} of {len(steps) + 1} "
        "images are left, and every volume",
        stand_ins=STAND_INS,
    )


def worker_tags(rig: Rig) -> set[str]:
    """Of the worker's images on the host."""
    return set(rig.docker("image", "ls", "--format", "{{.Tag}}", rig.images.worker).split())


def photo(rig: Rig) -> dict[str, object]:
    """A request for a size."""
    return {"image_url": rig.internet.upload("person-1.jpg"), "height_cm": 178}


class HealthyWorkers:
    """Counts the healthy workers again and again while the block around it runs."""

    LOOK_SECONDS = 0.3

    def __init__(self, host: Host) -> None:
        self.fewest = len(host.containers("worker"))
        self._host = host
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="healthy-workers", daemon=True)

    def __enter__(self) -> "HealthyWorkers":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self.LOOK_SECONDS):
            self.fewest = min(self.fewest, len(self._host.healthy("worker")))
