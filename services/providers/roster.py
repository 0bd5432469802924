"""Which of the configured image models can be used."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from models.image_models import ImageModelProfile

log = structlog.get_logger()

REFUSED_SECONDS: Final = 900.0
"""How long a model that this account may not use is passed over. "If you just verified, it can take up to 15 minutes
for access to propagate", says the refusal; asking again costs one request, no task and no money."""


class ModelRoster:
    """The configured models in order of preference, shared by all threads.

    A model that is gone stays gone for the life of the process; one that is refused to this account is asked again
    after ``REFUSED_SECONDS``. When none is left nothing can be lost by asking all of them, and an account that was
    mended works without a restart.

    Args:
        profiles: in order of preference.
        on_model_gone: called once for each model that goes for good, with its name.
        on_usable_models: called with the names of those that can be used, whenever they have changed.
        now: a steady clock in seconds; replaced in tests.
    """

    def __init__(
        self,
        profiles: Sequence[ImageModelProfile],
        *,
        on_model_gone: Callable[[str], None],
        on_usable_models: Callable[[tuple[str, ...]], None] = lambda _models: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._configured = tuple(profiles)
        self._profiles = self._configured
        self._refused_until: dict[str, float] = {}
        self._on_model_gone = on_model_gone
        self._on_usable_models = on_usable_models
        self._told = tuple(profile.name for profile in self._configured)
        self._now = now
        self._guard = threading.Lock()

    def preferred(self) -> ImageModelProfile | None:
        """The first model that can be used."""
        with self._guard:
            self._tell_which_are_usable()
            return self._first_usable()

    def _first_usable(self) -> ImageModelProfile | None:
        return next(iter(self._usable()), None)

    def _usable(self) -> list[ImageModelProfile]:
        now = self._now()
        return [profile for profile in self._profiles if self._refused_until.get(profile.name, now) <= now]

    def _tell_which_are_usable(self) -> None:
        # Asked before every attempt: a refusal runs out by itself, and nothing else would notice.
        usable = tuple(profile.name for profile in self._usable())
        if usable != self._told:
            self._told = usable
            self._on_usable_models(usable)

    def start_over_if_empty(self) -> None:
        """Puts every configured model back when none is left."""
        with self._guard:
            if self._first_usable() is None:
                self._profiles = self._configured
                self._refused_until.clear()

    def retire(self, gone: ImageModelProfile, *, reason: str) -> None:
        """Takes a model out. Tasks in flight may tell of the same one several times; it counts once."""
        with self._guard:
            if gone not in self._profiles:
                return
            self._profiles = tuple(profile for profile in self._profiles if profile != gone)
            left = self._first_usable()
            self._tell_which_are_usable()
        log.error("image_model_gone", model=gone.name, next_model=left.name if left else None, reason=reason)
        self._on_model_gone(gone.name)

    def set_aside(self, refused: ImageModelProfile, *, reason: str) -> None:
        """Passes a model over for a while. Tasks in flight may tell of the same one several times; it is said once."""
        with self._guard:
            now = self._now()
            is_news = self._refused_until.get(refused.name, now) <= now
            self._refused_until[refused.name] = now + REFUSED_SECONDS
            left = self._first_usable()
            self._tell_which_are_usable()
        if not is_news:
            return
        log.error(
            "image_model_refused",
            model=refused.name,
            next_model=left.name if left else None,
            asked_again_after_seconds=REFUSED_SECONDS,
            reason=reason,
        )
