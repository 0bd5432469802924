"""How a finished picture is offered to a Storage that does not take it, and what the gate is told."""

from dataclasses import dataclass, field
from typing import cast

import pytest

from models.failures import NoLongerWanted, PlatformFailure, PlatformLocked, PlatformUnavailable, StorageRefused
from services.platform.storage_gate import LOOK_SECONDS, StorageGate
from services.platform.supabase_client import SupabaseClient
from worker.settlement.picture_in_hand import MOMENT_SECONDS, PictureInHand

AWAY = PlatformUnavailable("store_result", "HTTP 503")
LOCKED = PlatformLocked("store_result", "HTTP 403")
NO_BUCKET = StorageRefused("store_result", "HTTP 404", "Bucket not found")
NOT_THERE = StorageRefused("sign_result", "HTTP 404", "Object not found")


@dataclass
class Hand:
    """A picture in hand, and everything around it played by this object."""

    stores: list[PlatformFailure | None] = field(default_factory=list)
    signs: list[PlatformFailure | None] = field(default_factory=list)
    told: list[PlatformFailure | None] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    ours: bool = True
    now: float = 100.0
    left_seconds: float = 60.0

    def picture(self) -> PictureInHand:
        return PictureInHand(
            cast(SupabaseClient, self),
            cast(StorageGate, self),
            path="generated/a/b.jpg",
            jpeg=b"jpeg",
            clock=self,
            still_ours=lambda: self.ours,
            now=lambda: self.now,
        )

    def store_result(self, _path: str, _jpeg: bytes) -> None:
        self.done.append("store")
        if self.stores and (failure := self.stores.pop(0)):
            raise failure

    def sign_result(self, path: str) -> str:
        self.done.append("sign")
        if self.signs and (failure := self.signs.pop(0)):
            raise failure
        return f"https://x/{path}?token=y"

    def refused(self, failure: PlatformFailure) -> None:
        self.told.append(failure)

    def stored(self) -> None:
        self.told.append(None)

    def elapsed_seconds(self) -> float:
        return 0.0

    def remaining_seconds(self) -> float:
        return self.left_seconds


def offer(picture: PictureInHand) -> PlatformFailure | str:
    try:
        return picture.offer()
    except PlatformFailure as failure:
        return failure


def test_a_picture_that_is_taken_opens_the_gate() -> None:
    hand = Hand()
    assert offer(hand.picture()) == "https://x/generated/a/b.jpg?token=y"
    assert (hand.done, hand.told) == (["store", "sign"], [None])


def test_what_is_stored_is_not_uploaded_again_for_its_signature() -> None:
    hand = Hand(signs=[AWAY, LOCKED, None])
    picture = hand.picture()
    assert [offer(picture) for _ in range(2)] == [AWAY, LOCKED]
    offer(picture)
    assert hand.done == ["store", "sign", "sign", "sign"]


def test_what_storage_says_is_not_there_is_uploaded_again() -> None:
    hand = Hand(signs=[NOT_THERE, None])
    picture = hand.picture()
    assert offer(picture) is NOT_THERE
    offer(picture)
    assert hand.done == ["store", "sign", "store", "sign"]


@pytest.mark.parametrize("failure", [NO_BUCKET, LOCKED])
def test_the_gate_is_told_of_a_refusal_at_once_and_once(failure: PlatformFailure) -> None:
    """A picture that is never taken, say by its size, must not close it again after others were taken."""
    hand = Hand(stores=[failure] * 3)
    picture = hand.picture()
    assert [offer(picture) for _ in range(3)] == [failure] * 3
    assert hand.told == [failure]


def test_the_gate_is_told_of_a_storage_that_stays_away() -> None:
    hand = Hand(stores=[AWAY] * 3)
    picture = hand.picture()
    offer(picture)
    hand.now += MOMENT_SECONDS
    offer(picture)
    assert hand.told == []
    hand.now += 1.0
    offer(picture)
    assert hand.told == [AWAY]


def test_it_is_offered_while_storage_is_away_and_to_one_that_refuses_until_the_time_is_up() -> None:
    hand = Hand()
    picture = hand.picture()
    assert all(picture.may_offer_again(failure) for failure in (AWAY, LOCKED, NO_BUCKET))
    hand.left_seconds = 0.0
    assert [picture.may_offer_again(failure) for failure in (AWAY, LOCKED, NO_BUCKET)] == [True, True, False]


def test_it_is_let_go_when_somebody_else_settled_the_session() -> None:
    hand = Hand(stores=[AWAY] * 3, ours=False)
    picture = hand.picture()
    assert offer(picture) is AWAY
    hand.now += LOOK_SECONDS
    with pytest.raises(NoLongerWanted):
        picture.offer()
