"""Rounds of the sender against answers that are handed in, on clocks that are turned by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from monitoring.whatsapp_bridge.answers import ACCEPTED, NO_ANSWER, RULES, Result, Rule, Verdict, verdict
from monitoring.whatsapp_bridge.message_queue import USEFUL_SECONDS, MessageQueue, QueueUnusable, Waiting
from monitoring.whatsapp_bridge.metrics import Metrics
from monitoring.whatsapp_bridge.pacing import FIRST_RETRY_SECONDS, PAIR_BURST, PAIR_RETRY_BASE
from monitoring.whatsapp_bridge.sender import UNREADABLE_ANSWERS_MAX, Sender
from monitoring.whatsapp_bridge.settings import load

ANNA: Final = "+4915112345678"
BEN: Final = "+31612345678"

SETTINGS: Final = load(
    {
        "WHATSAPP_ACCESS_TOKEN": "EAAtoken",
        "WHATSAPP_PHONE_NUMBER_ID": "1",
        "WHATSAPP_RECIPIENTS": f"{ANNA},{BEN}",
        "WHATSAPP_WEBHOOK_SECRET": "a-secret-of-sixteen",
    }
)
UNKNOWN: Final = verdict(400, b'{"error": {"code": 999999}}', {})


class FullDisk(MessageQueue):
    """A queue on a disk that can be full: nothing can be taken out of it then."""

    is_full = False

    def accepted(self, message: Waiting, now_seconds: float) -> None:
        self._refuse_when_full()
        super().accepted(message, now_seconds)

    def remove(self, message: Waiting) -> None:
        self._refuse_when_full()
        super().remove(message)

    def count_unreadable(self, message: Waiting) -> None:
        self._refuse_when_full()
        super().count_unreadable(message)

    def expire(self, now_seconds: float) -> int:
        if self.depth().messages and (self.depth().oldest_taken_at_seconds or 0) < now_seconds - USEFUL_SECONDS:
            self._refuse_when_full()
        return super().expire(now_seconds)

    def _refuse_when_full(self) -> None:
        if self.is_full:
            raise QueueUnusable("database or disk is full")


class Stage:
    """A sender on a real queue, with an API and clocks of ours."""

    def __init__(self, folder: Path) -> None:
        self.now = 1_796_000_000.0
        self.answers: dict[str, list[Verdict]] = {ANNA: [], BEN: []}
        self.sent: list[tuple[str, str]] = []
        self.queue = FullDisk(folder / "queue.sqlite3")
        self.metrics = Metrics(depth=self.queue.depth, can_send=True, now_seconds=lambda: self.now)
        self.sender = self.restarted()

    def restarted(self) -> Sender:
        self.sender = Sender(
            self.queue,
            self,
            SETTINGS,
            self.metrics,
            now_seconds=lambda: self.now,
            ticks_seconds=lambda: self.now - 1e9,
        )
        return self.sender

    def send(self, parameters: Sequence[str], to: str) -> Verdict:
        """Meta: the answers that were put down for the number, then acceptance."""
        found = self.answers[to].pop(0) if self.answers[to] else Verdict(ACCEPTED)
        if found.rule is ACCEPTED:
            self.sent.append((to, parameters[0]))
        return found

    def add(self, name: str, *recipients: str) -> None:
        self.queue.add(
            [(name, "h", "d", "a")], recipients or (ANNA, BEN), news=name, signature=name, now_seconds=self.now
        )

    def pass_seconds(self, seconds: float) -> None:
        """As the thread would: a round, its wait, a round, … until so much time is over."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + max(self.round(), 0.001), until)
        self.round()

    def round(self) -> float:
        """As the thread makes one."""
        return self.sender._guarded_round()

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_messages_go_out_in_the_order_in_which_they_came(stage: Stage) -> None:
    for name in ("one", "two", "three"):
        stage.add(name)
    stage.pass_seconds(1)
    assert [name for to, name in stage.sent if to == ANNA] == ["one", "two", "three"]
    assert [name for to, name in stage.sent if to == BEN] == ["one", "two", "three"]
    assert stage.counted("wearon_whatsapp_messages_total", outcome="accepted") == 6


def test_while_meta_is_away_everything_waits_in_order_and_nothing_is_lost(stage: Stage) -> None:
    stage.answers[ANNA] = [Verdict(NO_ANSWER)] * 6
    stage.add("one")
    stage.add("two")
    stage.sender.round()
    assert stage.sender.blocked is not None
    stage.pass_seconds(120)
    assert stage.sender.blocked is None
    assert [name for to, name in stage.sent if to == ANNA] == ["one", "two"]
    assert len(stage.sent) == 4


def test_after_metas_return_nobody_waits_longer_than_the_longest_retry(stage: Stage) -> None:
    stage.answers[ANNA] = stage.answers[BEN] = [Verdict(NO_ANSWER)] * 10**4
    stage.add("one")
    stage.pass_seconds(300)
    stage.answers = {ANNA: [], BEN: []}
    stage.pass_seconds(20)
    assert len(stage.sent) == 2


def test_what_failed_last_does_not_stand_in_everybodys_way(stage: Stage) -> None:
    stage.answers[ANNA] = [Verdict(NO_ANSWER)] * 10**4
    for name in ("one", "two", "three"):
        stage.add(name)
    stage.pass_seconds(120)
    assert [name for _, name in stage.sent] == ["one", "two", "three"]


@pytest.mark.parametrize("code", [190, 132001, 131042, 131048])
def test_where_a_person_must_act_it_tries_every_five_minutes_and_keeps_everything(stage: Stage, code: int) -> None:
    stage.answers[ANNA] = [Verdict(RULES[code], code)] * 3
    stage.add("one")
    stage.pass_seconds(200)
    assert stage.sent == []
    assert len(stage.answers[ANNA]) == 2, "one try so far"
    stage.pass_seconds(1000)
    assert [name for _, name in stage.sent] == ["one", "one"]


def test_a_restart_tries_at_once_for_a_new_token_has_come_with_it(stage: Stage) -> None:
    stage.answers[ANNA] = [Verdict(RULES[190], 190)]
    stage.add("one")
    stage.sender.round()
    stage.restarted().round()
    assert len(stage.sent) == 2


def test_a_number_that_gets_nothing_loses_its_message_alone(stage: Stage) -> None:
    stage.answers[ANNA] = [Verdict(RULES[131026], 131026)]
    stage.add("one")
    stage.add("two")
    stage.pass_seconds(1)
    assert sorted(stage.sent) == sorted([(BEN, "one"), (BEN, "two"), (ANNA, "two")])
    assert stage.counted("wearon_whatsapp_messages_total", outcome="refused") == 1
    assert stage.counted("wearon_whatsapp_requests_total", result="recipient") == 1


def test_a_pair_limit_holds_one_recipient_and_keeps_the_order(stage: Stage) -> None:
    stage.answers[ANNA] = [Verdict(RULES[131056], 131056)] * 2
    stage.add("one")
    stage.add("two")
    stage.pass_seconds(2)
    assert stage.sent == [(BEN, "one"), (BEN, "two")]
    stage.pass_seconds(30)
    assert stage.sent[2:] == [(ANNA, "one"), (ANNA, "two")]


def test_metas_retry_after_is_kept_to(stage: Stage) -> None:
    stage.answers[ANNA] = [Verdict(RULES[130429], 130429, retry_after_seconds=90.0)]
    stage.add("one")
    stage.pass_seconds(89)
    assert stage.sent == []
    stage.pass_seconds(2)
    assert len(stage.sent) == 2


def test_an_unknown_code_is_tried_a_few_times_also_over_restarts_and_then_given_up(stage: Stage) -> None:
    stage.answers[ANNA] = [UNKNOWN] * UNREADABLE_ANSWERS_MAX
    stage.add("strange", ANNA)
    stage.add("next", ANNA)
    for _ in range(UNREADABLE_ANSWERS_MAX - 1):
        stage.restarted().round()
        assert stage.queue.depth().messages == 2
    stage.restarted().round()
    stage.pass_seconds(1)
    assert stage.sent == [(ANNA, "next")]
    assert stage.counted("wearon_whatsapp_messages_total", outcome="refused") == 1


def test_what_is_too_old_is_not_sent(stage: Stage) -> None:
    stage.answers[ANNA] = stage.answers[BEN] = [Verdict(RULES[131042], 131042)] * 10**4
    stage.add("old")
    stage.pass_seconds(USEFUL_SECONDS + 10)
    stage.answers = {ANNA: [], BEN: []}
    stage.pass_seconds(600)
    assert stage.sent == []
    assert stage.counted("wearon_whatsapp_messages_total", outcome="expired") == 2


def test_what_waits_for_a_number_that_is_no_more_set_is_removed(stage: Stage) -> None:
    stage.add("one", "+15550001111", BEN)
    stage.pass_seconds(1)
    assert stage.sent == [(BEN, "one")]
    assert stage.queue.depth().messages == 0


def test_beyond_a_burst_one_recipient_is_written_to_every_six_seconds_also_after_a_restart(stage: Stage) -> None:
    for number in range(PAIR_BURST + 3):
        stage.add(f"{number}", ANNA)
    stage.pass_seconds(0.5)
    assert len(stage.sent) == PAIR_BURST
    stage.restarted().round()
    assert len(stage.sent) == PAIR_BURST
    stage.pass_seconds(13)
    assert len(stage.sent) == PAIR_BURST + 2


def test_the_gauges_say_how_much_waits_since_when_and_when_meta_last_took_one(stage: Stage) -> None:
    assert stage.metrics.registry.get_sample_value("wearon_whatsapp_last_accepted_timestamp_seconds") is None
    stage.add("one", ANNA)
    stage.pass_seconds(1)
    last = stage.now
    stage.answers[ANNA] = [Verdict(NO_ANSWER)]
    stage.add("two", ANNA)
    stage.sender.round()
    stage.now += 40
    assert stage.counted("wearon_whatsapp_queue_messages") == 1
    assert stage.counted("wearon_whatsapp_oldest_message_seconds") == 40
    assert stage.counted("wearon_whatsapp_last_accepted_timestamp_seconds") == pytest.approx(last, abs=2)


def test_the_whole_closed_sets_are_there_from_the_beginning(stage: Stage) -> None:
    page = stage.metrics.text().decode()
    for result in Result:
        assert f'wearon_whatsapp_requests_total{{result="{result.value}"}} 0.0' in page
    assert "_created" not in page
    assert isinstance(UNKNOWN.rule, Rule)


@pytest.mark.parametrize("is_refused", [False, True], ids=["accepted", "refused"])
def test_while_the_disk_is_full_each_recipient_gets_a_message_once(stage: Stage, *, is_refused: bool) -> None:
    answer = Verdict(RULES[131026], 131026) if is_refused else Verdict(ACCEPTED)
    stage.answers = {ANNA: [answer] * 3, BEN: [answer] * 3}
    stage.add("one")
    stage.queue.is_full = True
    stage.pass_seconds(600)
    left = {to: len(answers) for to, answers in stage.answers.items()}
    assert left == {ANNA: 2, BEN: 2}, "the first one's row, which stays, does not stand in the other's way"
    assert "full" in stage.sender.fault
    stage.queue.is_full = False
    stage.pass_seconds(10)
    assert (stage.queue.depth().messages, stage.sender.fault) == (0, "")
    assert {to: len(answers) for to, answers in stage.answers.items()} == left
    outcome = "refused" if is_refused else "accepted"
    assert stage.counted("wearon_whatsapp_messages_total", outcome=outcome) == 2


def test_while_the_disk_is_full_all_that_waits_for_a_recipient_is_sent_once(stage: Stage) -> None:
    for name in ("one", "two", "three"):
        stage.add(name, ANNA)
    stage.queue.is_full = True
    stage.pass_seconds(600)
    assert stage.sent == [(ANNA, "one"), (ANNA, "two"), (ANNA, "three")]
    stage.queue.is_full = False
    stage.pass_seconds(10)
    assert (stage.queue.depth().messages, len(stage.sent)) == (0, 3)


def test_while_the_disk_is_full_an_unknown_answer_is_waited_for_and_stands_in_nobodys_way(stage: Stage) -> None:
    stage.answers[ANNA] = [UNKNOWN] * 100
    stage.add("one")
    stage.queue.is_full = True
    stage.pass_seconds(600)
    assert stage.sent == [(BEN, "one")]
    asked = 100 - len(stage.answers[ANNA])
    assert 2 <= asked <= 8, "the waits grow as they do with room on the disk"


def test_while_the_disk_is_full_neither_who_is_gone_nor_what_is_too_old_stands_in_anybodys_way(stage: Stage) -> None:
    stage.add("too old", BEN)
    stage.now += USEFUL_SECONDS + 1
    stage.add("for nobody", "+491555000009")
    stage.add("one", ANNA)
    stage.queue.is_full = True
    stage.pass_seconds(600)
    assert (ANNA, "one") in stage.sent
    assert stage.counted("wearon_whatsapp_messages_total", outcome="refused") == 1
    stage.queue.is_full = False
    stage.pass_seconds(10)
    assert stage.queue.depth().messages == 0


def test_after_metas_return_the_next_failure_waits_as_shortly_as_a_first_one(stage: Stage) -> None:
    stage.answers[ANNA] = [Verdict(NO_ANSWER)] * 5
    stage.add("one", ANNA)
    stage.pass_seconds(60)
    assert [name for _, name in stage.sent] == ["one"]
    stage.answers[ANNA] = [Verdict(NO_ANSWER)]
    stage.add("two", ANNA)
    stage.round()
    stage.pass_seconds(FIRST_RETRY_SECONDS)
    assert [name for _, name in stage.sent] == ["one", "two"]


def test_after_a_recipients_acceptance_its_next_refusal_waits_as_shortly_as_a_first_one(stage: Stage) -> None:
    stage.answers[ANNA] = [Verdict(RULES[131056], 131056)] * 3
    stage.add("one", ANNA)
    stage.pass_seconds(200)
    assert [name for _, name in stage.sent] == ["one"]
    stage.answers[ANNA] = [Verdict(RULES[131056], 131056)]
    stage.add("two", ANNA)
    stage.round()
    stage.pass_seconds(PAIR_RETRY_BASE)
    assert [name for _, name in stage.sent] == ["one", "two"]
