"""Which of the configured image models are still there."""

import threading
from collections.abc import Callable, Sequence

import structlog

from models.image_models import ImageModelProfile

log = structlog.get_logger()


class ModelRoster:
    """The configured models in order of preference, shared by all threads.

    A model that is gone stays gone for the life of the process, unless none is left: then nothing can be lost by asking
    all of them again, and an account that was mended works without a restart.

    Args:
        profiles: in order of preference.
        on_model_gone: called once for each model that goes, with its name.
    """

    def __init__(self, profiles: Sequence[ImageModelProfile], *, on_model_gone: Callable[[str], None]) -> None:
        self._configured = tuple(profiles)
        self._profiles = self._configured
        self._on_model_gone = on_model_gone
        self._guard = threading.Lock()

    def preferred(self) -> ImageModelProfile | None:
        """The first model that is left."""
        profiles = self._profiles
        return profiles[0] if profiles else None

    def start_over_if_empty(self) -> None:
        """Puts every configured model back when none is left."""
        with self._guard:
            if not self._profiles:
                self._profiles = self._configured

    def retire(self, gone: ImageModelProfile, *, reason: str) -> None:
        """Takes a model out. Tasks in flight may tell of the same one several times; it counts once."""
        with self._guard:
            if gone not in self._profiles:
                return
            self._profiles = tuple(profile for profile in self._profiles if profile != gone)
        left = self.preferred()
        log.error("image_model_gone", model=gone.name, next_model=left.name if left else None, reason=reason)
        self._on_model_gone(gone.name)
