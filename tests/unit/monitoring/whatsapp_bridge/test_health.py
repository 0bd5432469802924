"""What the bridge says of itself, for a health check and for a person."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from monitoring.whatsapp_bridge.answers import ACCEPTED, NO_ANSWER, Verdict
from monitoring.whatsapp_bridge.message_queue import MessageQueue
from monitoring.whatsapp_bridge.metrics import Metrics
from monitoring.whatsapp_bridge.sender import Sender
from monitoring.whatsapp_bridge.settings import Settings, load
from monitoring.whatsapp_bridge.web import health

ANNA: Final = "+4915112345678"
GOOD: Final = load(
    {
        "WHATSAPP_ACCESS_TOKEN": "EAAtoken",
        "WHATSAPP_PHONE_NUMBER_ID": "1",
        "WHATSAPP_RECIPIENTS": ANNA,
        "WHATSAPP_WEBHOOK_SECRET": "a-secret-of-sixteen",
    }
)
SOON_SECONDS: Final = 20.0


class Meta:
    """Answers with what it was told to, or raises it."""

    def __init__(self) -> None:
        self.answer: Verdict | Exception = Verdict(ACCEPTED)

    def send(self, parameters: Sequence[str], to: str) -> Verdict:
        assert parameters
        assert to == ANNA
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Stage:
    """A queue and its sender."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.settings, self.meta = settings, Meta()
        self.queue = MessageQueue(folder / "queue.sqlite3")
        metrics = Metrics(depth=self.queue.depth, can_send=settings.can_send, now_seconds=time.time)
        self.sender = Sender(self.queue, self.meta, settings, metrics)

    def add(self, name: str) -> None:
        self.queue.add([(name, "h", "d", "a")], [ANNA], news=name, signature=name, now_seconds=time.time())
        self.sender.call()

    def says(self, status: str) -> tuple[bool, dict[str, object]]:
        """What it says once it says this; fails when it does not come to it."""
        until = time.monotonic() + SOON_SECONDS
        while True:
            well, said = health(self.queue, self.sender, self.settings, time.time())
            if said["status"] == status:
                return well, said
            assert time.monotonic() < until, said
            time.sleep(0.01)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, GOOD)
    made.sender.start()
    yield made
    made.sender.stop(SOON_SECONDS)


def test_all_is_well(stage: Stage) -> None:
    assert stage.says("ok") == (
        True,
        {"status": "ok", "sender": True, "queue": True, "queue_messages": 0, "oldest_message_seconds": None},
    )


def test_while_meta_is_away_it_is_well_and_says_how_much_waits(stage: Stage) -> None:
    stage.meta.answer = Verdict(NO_ANSWER)
    stage.add("one")
    well, said = stage.says("blocked")
    assert well, "a restart would mend nothing"
    assert (said["reason"], said["queue_messages"]) == ("unavailable", 1)


def test_a_sender_that_has_ended_is_not_well(stage: Stage) -> None:
    stage.sender.stop(SOON_SECONDS)
    well, said = stage.says("degraded")
    assert (well, said["sender"]) == (False, False)


def test_an_error_that_nobody_foresaw_is_told_and_does_not_end_the_sender(stage: Stage) -> None:
    stage.meta.answer = LookupError("nobody foresaw this")
    stage.add("one")
    well, said = stage.says("degraded")
    assert (well, said["sender"]) == (False, True)
    assert "LookupError" in str(said["error"])
    stage.meta.answer = Verdict(ACCEPTED)
    stage.sender.call()
    stage.says("ok")
    assert stage.queue.depth().messages == 0


def test_a_queue_that_cannot_be_used_is_not_well(stage: Stage) -> None:
    stage.queue.close()
    well, said = stage.says("degraded")
    assert (well, said["queue"]) == (False, False)
    assert "queue.sqlite3" in str(said["error"])


def test_without_settings_it_is_well_and_names_them(tmp_path: Path) -> None:
    stage = Stage(tmp_path, load({}))
    stage.sender.start()
    well, said = stage.says("not_configured")
    stage.sender.stop(SOON_SECONDS)
    assert well
    assert said["faults"] == list(load({}).faults)
    assert len(load({}).faults) == 4
