"""No picture is bought while Storage takes none."""

import threading
from collections.abc import Iterator
from queue import Queue

import pytest

from models.failures import PlatformUnavailable, StorageRefused
from services.platform.storage_gate import Pass, StorageGate
from services.shutdown import ShuttingDown

NO_BUCKET = StorageRefused("store_result", "HTTP 404", "Bucket not found")
PAUSE_SECONDS = 0.02
EVENT_TIMEOUT_SECONDS = 30.0


class Stored:
    """A Storage that takes a probe when it is told to, and a gate before it."""

    def __init__(self) -> None:
        self.takes = threading.Event()
        self.told: Queue[str] = Queue()
        self.probes: Queue[None] = Queue()
        self.now = 0.0
        self.gate = StorageGate(self._probe, self.told.put, pause_seconds=PAUSE_SECONDS, now=lambda: self.now)

    def _probe(self) -> None:
        self.probes.put(None)
        if not self.takes.is_set():
            raise PlatformUnavailable("store_result", "HTTP 503")

    def hears(self) -> str:
        return self.told.get(timeout=EVENT_TIMEOUT_SECONDS)


@pytest.fixture
def storage() -> Iterator[Stored]:
    storage = Stored()
    yield storage
    storage.gate.stored()  # which ends the probing


def enters(gate: StorageGate) -> Pass | None:
    """A pass if there is one at once."""
    looks = iter([False, True])

    def cancelled() -> bool:
        return next(looks, True)

    try:
        return gate.wait_until_open(cancelled)
    except ShuttingDown:
        return None


def test_while_pictures_are_taken_everybody_may_buy(storage: Stored) -> None:
    assert [enters(storage.gate) for _ in range(3)] == [Pass(on_trial=False)] * 3
    storage.gate.stored()
    assert storage.told.empty()


def test_the_first_refusal_stops_all_and_says_storage_s_words_once(storage: Stored) -> None:
    before = enters(storage.gate)
    for _ in range(3):
        storage.gate.refused(NO_BUCKET)
    assert before is not None
    assert not storage.gate.is_good(before), "who waits at the rate gate does not buy either"
    assert enters(storage.gate) is None
    assert storage.hears() == "store_result: HTTP 404 (Bucket not found)"
    assert storage.told.empty()


def test_probes_go_on_until_one_is_taken_and_then_one_task_is_tried_at_a_time(storage: Stored) -> None:
    storage.gate.refused(NO_BUCKET)
    storage.hears()
    for _ in range(3):
        storage.probes.get(timeout=EVENT_TIMEOUT_SECONDS)
    assert enters(storage.gate) is None
    storage.takes.set()
    assert storage.hears() == ""
    trial = enters(storage.gate)
    assert trial == Pass(on_trial=True)
    assert storage.gate.is_good(trial)
    assert enters(storage.gate) is None, "one at a time"
    storage.now += PAUSE_SECONDS
    assert enters(storage.gate) == Pass(on_trial=True)
    storage.gate.stored()
    assert [enters(storage.gate) for _ in range(3)] == [Pass(on_trial=False)] * 3


def test_a_trial_that_is_refused_stops_all_again_and_probes_go_on(storage: Stored) -> None:
    storage.takes.set()
    storage.gate.refused(NO_BUCKET)
    assert [storage.hears(), storage.hears()] == [str(NO_BUCKET), ""]
    trial = enters(storage.gate)
    storage.gate.refused(NO_BUCKET)
    assert trial is not None
    assert not storage.gate.is_good(trial)
    assert [storage.hears(), storage.hears()] == [str(NO_BUCKET), ""]


def test_a_finished_picture_that_is_taken_opens_at_once(storage: Stored) -> None:
    storage.gate.refused(NO_BUCKET)
    storage.gate.stored()
    assert [storage.hears(), storage.hears()] == [str(NO_BUCKET), ""]
    assert enters(storage.gate) == Pass(on_trial=False)


def test_storage_is_probed_again_when_it_refuses_long_after_it_opened(storage: Stored) -> None:
    storage.gate.refused(NO_BUCKET)
    prober = storage.gate._prober
    assert prober is not None
    storage.gate.stored()
    prober.join(EVENT_TIMEOUT_SECONDS)
    assert not prober.is_alive(), "nothing is to be probed any more"
    while not storage.probes.empty():
        storage.probes.get()
    storage.gate.refused(NO_BUCKET)
    storage.probes.get(timeout=EVENT_TIMEOUT_SECONDS)


def test_who_waits_is_let_in_when_it_opens(storage: Stored) -> None:
    storage.gate.refused(NO_BUCKET)
    entered = threading.Event()

    def wait() -> None:
        storage.gate.wait_until_open(lambda: False)
        entered.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    storage.gate.stored()
    assert entered.wait(EVENT_TIMEOUT_SECONDS)
    waiting.join()
