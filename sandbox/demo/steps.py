"""The acts of the demo, in order. A new act is one function and one line in ``STEPS``."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from models.generation import Channel
from sandbox.console.following import Journey, NotFinished, follow
from sandbox.console.progress import Console
from sandbox.demo.checks import (
    Account,
    Finding,
    faults_of_completed,
    faults_of_refused,
    faults_of_sized,
    told_completed,
    told_refused,
    told_sized,
)
from sandbox.demo.sizing import (
    KnownBody,
    Sizing,
    SizingFailed,
    ask_for_size,
    draw_measured,
    known_bodies,
    wait_for_model,
)
from sandbox.lasting.commands import shortest
from sandbox.pictures.samples import SAMPLES
from sandbox.platform.producer import Producer, Store, Submitted
from sandbox.platform.state import SessionRow
from sandbox.platform.uploads import PlatformStorage
from sandbox.servers.worker import LocalWorker

MODERATION_PROMPT: Final = "Something the safety system refuses. [[sim:moderation-output]]"
"""The marker makes the simulator answer ``moderation_blocked`` after its usual latency."""

WOMAN: Final = SAMPLES / "person-1.jpg"
MAN: Final = SAMPLES / "person-2.jpg"
SECOND_WOMAN: Final = SAMPLES / "person-3.jpg"
T_SHIRT: Final = SAMPLES / "t-shirt.png"
TROUSERS: Final = SAMPLES / "trousers.jpg"
BAG: Final = SAMPLES / "bag.webp"

SIZED: Final = known_bodies()[MAN.name]

DRAWING_NAME: Final = "size.png"

APP: Final = "b2c (app)"
SHOP: Final = "b2b (shop)"


class DemoFailed(Exception):
    """The demo cannot go on; the message is for the person."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What the steps of the demo play on."""

    console: Console
    worker: LocalWorker
    platform: Producer
    storage: PlatformStorage
    results: Path
    limit_seconds: float
    user_id: UUID
    store: Store

    def upload(self, channel: Channel, *pictures: Path) -> list[str]:
        """Signed URLs of the pictures, uploaded by the owner of that channel."""
        owner = self.user_id if channel is Channel.B2C else self.store.store_id
        return [self.storage.put_picture(picture, channel, owner) for picture in pictures]

    def balance(self, channel: Channel) -> int:
        """Credits of the owner of that channel."""
        balances = self.platform.balances()
        return balances.users[self.user_id] if channel is Channel.B2C else balances.stores[self.store.store_id]

    def follow(self, *journeys: Journey) -> list[tuple[Journey, SessionRow]]:
        """Show the sessions until they are over. Raises ``DemoFailed``."""
        try:
            return follow(
                self.platform, journeys, self.console, limit_seconds=self.limit_seconds, check=self._check_worker
            )
        except NotFinished as error:
            raise DemoFailed(str(error)) from error

    def account(self, channel: Channel, before: int, entries_before: int) -> Account:
        """What happened to the owner's credits since the ledger had ``entries_before`` entries of theirs."""
        entries = self.entries(channel)[entries_before:]
        return Account(
            before=before,
            after=self.balance(channel),
            charged=-sum(amount for amount in entries if amount < 0),
            refunded=sum(amount for amount in entries if amount > 0),
        )

    def entries(self, channel: Channel) -> list[int]:
        """The amounts in the owner's ledger, oldest first."""
        owner = self.user_id if channel is Channel.B2C else self.store.store_id
        return [entry.amount for entry in self.platform.ledger() if entry.owner_id == owner]

    def save(self, name: str, picture: bytes) -> Path:
        """Keep a result for the person."""
        path = self.place(name)
        path.write_bytes(picture)
        return path

    def place(self, name: str) -> Path:
        """Where a result of that name belongs."""
        self.results.mkdir(parents=True, exist_ok=True)
        return self.results / name

    def _check_worker(self) -> None:
        if not self.worker.is_running:
            raise DemoFailed("The worker ended in the middle of the demo.")


@dataclass(frozen=True, slots=True)
class Step:
    """One act of the demo. ``is_always_simulated``: even with ``--real`` it runs against the simulator."""

    title: str
    play: Callable[[Stage], Sequence[Finding]]
    is_always_simulated: bool = False


def two_try_ons(stage: Stage) -> list[Finding]:
    """One task of each channel at the same time; both must be completed and paid."""
    before = {channel: (stage.balance(channel), len(stage.entries(channel))) for channel in Channel}
    stage.console.line(f"  credits before: app user {before[Channel.B2C][0]}, store {before[Channel.B2B][0]}")
    app_pictures = stage.upload(Channel.B2C, WOMAN, T_SHIRT)
    shop_pictures = stage.upload(Channel.B2B, MAN, TROUSERS, BAG)
    journeys = [
        _pushed(APP, lambda: stage.platform.submit_b2c(app_pictures, user_id=stage.user_id)),
        _pushed(SHOP, lambda: stage.platform.submit_b2b(shop_pictures, store=stage.store)),
    ]
    findings = []
    for journey, row in stage.follow(*journeys):
        channel = journey.session.channel
        account = stage.account(channel, *before[channel])
        picture = stage.storage.fetch(row.generated_image_url) if row.generated_image_url else None
        path = stage.save(f"{channel}.jpg", picture) if picture is not None else None
        findings.append(
            Finding(
                told_completed(journey, row, account, "none" if path is None else shortest(path)),
                tuple(faults_of_completed(row, account, picture)),
            )
        )
    return findings


def size_recommendation(stage: Stage, known: KnownBody = SIZED) -> list[Finding]:
    """One photo and a stated height in, a size out; it must be near the truth. Needs no provider and no credit."""
    stage.console.line(
        f"  {known.photo.name}, stated height {known.height_cm:g} cm; a rendered body of known measures,"
    )
    stage.console.line("  one of those the body model was fitted with")
    try:
        sizing = _sized(stage, known)
    except SizingFailed as error:
        return [Finding((f"size of {known.photo.name}: none",), (str(error),))]
    return [
        Finding(
            told_sized(sizing, known, shortest(sizing.drawing)),
            tuple(faults_of_sized(sizing, known, sizing.drawing.read_bytes())),
        )
    ]


def _sized(stage: Stage, known: KnownBody) -> Sizing:
    with stage.console.step("pose model", "loaded"):
        wait_for_model(stage.worker)
    [photo_url] = stage.upload(Channel.B2C, known.photo)
    with stage.console.step("POST /estimate-body", "answered"):
        asked_at = time.monotonic()
        answer = ask_for_size(stage.worker.url, photo_url, known.height_cm)
        answer_seconds = time.monotonic() - asked_at
    with stage.console.step("python -m size_rec", "drawn"):
        drawing = stage.place(DRAWING_NAME)
        drawn = draw_measured(known.photo, known.height_cm, drawing)
    return Sizing(answer=answer, answer_seconds=answer_seconds, drawn=drawn, drawing=drawing)


def refused_by_moderation(stage: Stage) -> list[Finding]:
    """The provider's safety system refuses; the person must get the credit back and a message they understand."""
    before, entries = stage.balance(Channel.B2C), len(stage.entries(Channel.B2C))
    stage.console.line(f"  credits before: app user {before}")
    pictures = stage.upload(Channel.B2C, SECOND_WOMAN, T_SHIRT)
    journey = _pushed(
        APP,
        lambda: stage.platform.submit_b2c(pictures, user_id=stage.user_id, prompt=MODERATION_PROMPT),
    )
    [(ended, row)] = stage.follow(journey)
    account = stage.account(Channel.B2C, before, entries)
    return [Finding(told_refused(ended, row, account), tuple(faults_of_refused(row, account)))]


STEPS: Final = (
    Step("One try-on from the app (b2c) and one from a shop (b2b), at the same time", two_try_ons),
    Step("A size from one photo and a height", size_recommendation),
    Step("One that the provider's safety system refuses", refused_by_moderation, is_always_simulated=True),
)


def _pushed(label: str, submit: Callable[[], Submitted]) -> Journey:
    pushed_at = time.monotonic()
    return Journey(label, submit().session, pushed_at)
