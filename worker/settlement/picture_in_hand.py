"""Uploads a finished picture, which has been paid for: repeated until Storage takes it or nobody wants it any more."""

import time
from collections.abc import Callable
from typing import Final, Protocol

from models.failures import NoLongerWanted, PlatformFailure, PlatformLocked, PlatformUnavailable, StorageRefused
from services.platform.storage_gate import LOOK_SECONDS, StorageGate
from services.platform.supabase_client import SupabaseClient

MOMENT_SECONDS: Final = 15.0
"""When Storage is unreachable for longer, the gate is told, and no more pictures are bought. A restart takes less."""


class Clock(Protocol):
    """The task's deadline."""

    def elapsed_seconds(self) -> float:
        """Since the task began."""

    def remaining_seconds(self) -> float:
        """Until its limit; not below zero."""


class PictureInHand:
    """``offer`` is one try. ``until_it_lands`` (``landing.py``) repeats it while ``may_offer_again`` allows.

    Args:
        store: the platform.
        gate: told whether Storage took the picture.
        path: where it belongs.
        jpeg: the picture.
        clock: the task's deadline.
        still_ours: whether the session is still ours; asked from time to time while waiting, and must answer soon.
        now: replaced in tests.
    """

    def __init__(
        self,
        store: SupabaseClient,
        gate: StorageGate | None,
        *,
        path: str,
        jpeg: bytes,
        clock: Clock,
        still_ours: Callable[[], bool],
        look_seconds: float = LOOK_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._gate = gate
        self._path = path
        self._jpeg = jpeg
        self._clock = clock
        self._still_ours = still_ours
        self._look_seconds = look_seconds
        self._now = now
        self._begun_at = self._looked_at = now()
        self._is_stored = False
        self._is_told = False

    def offer(self) -> str:
        """Store and sign it; returns the link.

        Raises:
            PlatformFailure: this try failed.
            NoLongerWanted: the session was settled by somebody else.
        """
        self._look()
        try:
            if not self._is_stored:
                self._store.store_result(self._path, self._jpeg)
                self._is_stored = True
            link = self._store.sign_result(self._path)
        except PlatformFailure as failure:
            if isinstance(failure, StorageRefused):
                self._is_stored = False  # Storage does not sign what it does not have
            self._tell(failure)
            raise
        if self._gate is not None:
            self._gate.stored()
        return link

    def may_offer_again(self, failure: PlatformFailure) -> bool:
        """Whether to try again: always while Storage is unreachable; when it refuses, until the task's deadline."""
        return isinstance(failure, PlatformUnavailable) or self._clock.remaining_seconds() > 0

    def _look(self) -> None:
        if self._now() - self._looked_at < self._look_seconds:
            return
        if not self._still_ours():
            raise NoLongerWanted
        self._looked_at = self._now()

    def _tell(self, failure: PlatformFailure) -> None:
        """Tell the gate, at most once: a picture that is never taken must not close it again after others were."""
        lasting = isinstance(failure, StorageRefused | PlatformLocked)
        if self._gate is None or self._is_told or not (lasting or self._now() - self._begun_at > MOMENT_SECONDS):
            return
        self._is_told = True
        self._gate.refused(failure)
