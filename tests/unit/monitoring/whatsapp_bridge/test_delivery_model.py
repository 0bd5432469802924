"""Whatever Meta answers and whenever the process dies: nothing that was taken is lost, and the order is kept."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from monitoring.whatsapp_bridge.answers import ACCEPTED, NO_ANSWER, RULES, Verdict
from monitoring.whatsapp_bridge.message_queue import DUPLICATE_WINDOW_SECONDS, MessageQueue, Taken
from monitoring.whatsapp_bridge.metrics import Metrics
from monitoring.whatsapp_bridge.sender import Sender
from monitoring.whatsapp_bridge.settings import load

ANNA: Final = "+4915112345678"
BEN: Final = "+31612345678"
BOTH: Final = (ANNA, BEN)

SETTINGS: Final = load(
    {
        "WHATSAPP_ACCESS_TOKEN": "EAAtoken",
        "WHATSAPP_PHONE_NUMBER_ID": "1",
        "WHATSAPP_RECIPIENTS": f"{ANNA},{BEN}",
        "WHATSAPP_WEBHOOK_SECRET": "a-secret-of-sixteen",
    }
)

LONG_SECONDS: Final = 3600.0
"""Longer than any wait, shorter than a message is of use."""

LASTING: Final = tuple(sorted(code for code, it in RULES.items() if it.result.value in {"token", "billing", "rate"}))[
    :12
]


class Died(BaseException):
    """The process ends here, whatever it was about to do."""


class Meta:
    """What Meta really took, and what it does next."""

    def __init__(self) -> None:
        self.took: dict[str, list[str]] = {to: [] for to in BOTH}
        self.plan: list[str | int] = []

    def send(self, parameters: Sequence[str], to: str) -> Verdict:
        what = self.plan.pop(0) if self.plan else "accept"
        if what == "die before":
            raise Died
        if isinstance(what, int):
            return Verdict(RULES[what], what)
        if what == "away":
            return Verdict(NO_ANSWER)
        self.took[to].append(parameters[0])
        if what == "die after":
            raise Died
        return Verdict(NO_ANSWER) if what == "hang up after" else Verdict(ACCEPTED)


class Delivery(RuleBasedStateMachine):
    """The queue and the sender, restarted whenever they die."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="wearon-bridge-")
        self.now = 1_796_000_000.0
        self.taken: list[str] = []
        self.repeats = 0
        self.meta = Meta()
        self.restart()

    @rule()
    def restart(self) -> None:
        self.queue = MessageQueue(Path(self.folder.name) / "queue.sqlite3")
        metrics = Metrics(depth=self.queue.depth, can_send=True, now_seconds=lambda: self.now)
        clocks = {"now_seconds": lambda: self.now, "ticks_seconds": lambda: self.now}
        self.sender = Sender(self.queue, self.meta, SETTINGS, metrics, **clocks)

    @rule()
    def alert(self) -> None:
        name = f"news {len(self.taken)}"
        taken = self.queue.add([(name, "h", "d", "a")], BOTH, news=name, signature=name, now_seconds=self.now)
        assert taken is Taken.TAKEN
        self.taken.append(name)
        self.last_taken_at = self.now

    @rule()
    def the_same_alert_again(self) -> None:
        if self.taken and self.now - self.last_taken_at <= DUPLICATE_WINDOW_SECONDS:
            name = self.taken[-1]
            again = self.queue.add([(name, "h", "d", "a")], BOTH, news=name, signature="other", now_seconds=self.now)
            assert again is not Taken.TAKEN

    @rule(
        what=st.sampled_from(["away", "hang up after", "die before", "die after", *LASTING]),
        times=st.integers(min_value=1, max_value=3),
    )
    def meta_will(self, what: str | int, times: int) -> None:
        self.meta.plan += [what] * times
        self.repeats += times if what in {"hang up after", "die after"} else 0

    @rule(seconds=st.sampled_from([0.0, 5.0, 60.0, 301.0]))
    def time_passes_and_a_round_runs(self, seconds: float) -> None:
        self.now += seconds
        try:
            self.sender.round()
        except Died:
            self.restart()

    @invariant()
    def what_meta_took_is_in_order_and_only_repeated_where_we_could_not_know(self) -> None:
        if not hasattr(self, "meta"):
            return
        repeated = 0
        for took in self.meta.took.values():
            first = list(dict.fromkeys(took))
            assert first == self.taken[: len(first)]
            assert sorted(took, key=self.taken.index) == took, "a repetition comes before what follows"
            repeated += len(took) - len(first)
        assert repeated <= self.repeats

    def teardown(self) -> None:
        """At last Meta is well: then everybody has everything."""
        if not hasattr(self, "meta"):
            return
        self.meta.plan.clear()
        for _ in range(200):
            self.now += LONG_SECONDS / 200
            self.sender.round()
        assert all(list(dict.fromkeys(took)) == self.taken for took in self.meta.took.values())
        assert self.queue.depth().messages == 0
        self.queue.close()
        self.folder.cleanup()


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
