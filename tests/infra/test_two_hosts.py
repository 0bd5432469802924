"""Two hosts share a hosted queue: one rate limit over both, and one takes over from the other (NFR-1.4, NFR-2.4)."""

from concurrent.futures import Future

from tests.infra.engine.rig import Rig
from tests.infra.engine.two_hosts import TASKS, Outcome

REQUESTS_PER_MINUTE = 300

STAND_INS = ("redis", "python", "provider", "platform", "two projects on one engine for two hosts")


def test_two_hosts_keep_to_one_rate_limit_and_the_one_that_is_left_finishes_everything(
    rig: Rig, two_hosts: Future[Outcome]
) -> None:
    outcome = two_hosts.result()
    assert outcome.peak_requests <= REQUESTS_PER_MINUTE
    assert outcome.wrong_credits == []
    assert outcome.survivor_is_healthy
    rig.report.proved(
        f"two hosts, one queue, {TASKS} tasks, one host killed in the middle",
        f"{outcome.delivered} delivered after {outcome.seconds:.0f} s, at most {outcome.peak_requests} "
        f"requests on the provider's wire in any 60 s ({outcome.requests} in all), 0 wrong credits",
        stand_ins=STAND_INS,
    )
