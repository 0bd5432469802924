"""[pure] What each simulated model takes. Data and the rules on sizes.

Sources: the API's reference of ``images/edits``, openai-python 3.57.0 and the model pages, November 2026.
``gpt-image-1.5`` knows three sizes and ``input_fidelity``; ``gpt-image-2`` takes any size within the limits below but
neither ``input_fidelity`` nor a transparent background; the 2.5 models add the qualities ``xhigh`` and ``max``, the 2.6
models ``complexity``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final, NamedTuple

from sandbox.openai_sim.errors import ApiError, invalid_value, value_not_usable

AUTO: Final = "auto"

SIZE_STEP_PIXELS: Final = 16
MAXIMUM_EDGE_PIXELS: Final = 3840
MAXIMUM_ASPECT_RATIO: Final = 3
MINIMUM_AREA_PIXELS: Final = 655_360
MAXIMUM_AREA_PIXELS: Final = 8_294_400

_SIZE: Final = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")
_CLASSIC_QUALITIES: Final = ("low", "medium", "high", AUTO)
_FINE_QUALITIES: Final = ("low", "medium", "high", "xhigh", "max", AUTO)


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


SQUARE: Final = Size(1024, 1024)
PORTRAIT: Final = Size(1024, 1536)
LANDSCAPE: Final = Size(1536, 1024)
CLASSIC_SIZES: Final = (SQUARE, PORTRAIT, LANDSCAPE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProfile:
    """The parameters one model accepts."""

    name: str
    qualities: tuple[str, ...] = _CLASSIC_QUALITIES
    takes_any_size: bool = False
    takes_input_fidelity: bool = False
    takes_transparent_background: bool = False
    takes_complexity: bool = False
    input_tokens_per_patch: float | None = None
    """``None``: input pictures are billed by tiles, as those of the first generation."""

    def parse_size(self, text: str) -> Size | None:
        """The wanted size, ``None`` for ``auto``; raises :class:`ApiError` (400, ``param`` = ``size``)."""
        if text == AUTO:
            return None
        if not self.takes_any_size:
            names = [str(size) for size in CLASSIC_SIZES]
            if text not in names:
                raise invalid_value("size", text, [*names, AUTO])
            return CLASSIC_SIZES[names.index(text)]
        match = _SIZE.fullmatch(text)
        if match is None:
            raise _bad_size(text, "Expected WIDTHxHEIGHT or 'auto'.")
        size = Size(int(match[1]), int(match[2]))
        _check_free_size(text, size)
        return size


_PROFILES: Final = (
    ModelProfile(name="gpt-image-1.5", takes_input_fidelity=True, takes_transparent_background=True),
    ModelProfile(name="gpt-image-2", takes_any_size=True, input_tokens_per_patch=1.2),
    *(
        ModelProfile(
            name=f"gpt-image-{version}",
            qualities=_FINE_QUALITIES,
            takes_any_size=True,
            takes_transparent_background=True,
            takes_complexity=version.startswith("2.6"),
            input_tokens_per_patch=1.43,
        )
        for version in (
            "2.5-sunburst",
            "2.5-sunburst-2026-09-08",
            "2.5-flare",
            "2.5-flare-2026-09-08",
            "2.6-sunburst",
            "2.6-flare",
        )
    ),
)

MODELS: Final = {profile.name: profile for profile in _PROFILES}

ANNOUNCED_SHUTDOWNS: Final[Mapping[str, date]] = MappingProxyType({"gpt-image-1.5": date(2026, 12, 1)})
"""What the list of models says from the start. Nothing happens on the day: a test must not depend on it."""


def automatic_size(width: int, height: int) -> Size:
    """What ``auto`` becomes for a first picture of this shape."""
    if width == height:
        return SQUARE
    return PORTRAIT if height > width else LANDSCAPE


def _check_free_size(text: str, size: Size) -> None:
    if size.width % SIZE_STEP_PIXELS or size.height % SIZE_STEP_PIXELS:
        raise _bad_size(text, f"Width and height must both be divisible by {SIZE_STEP_PIXELS}.")
    if max(size) > MAXIMUM_EDGE_PIXELS:
        raise _bad_size(text, f"The longest edge must not exceed {MAXIMUM_EDGE_PIXELS} pixels.")
    if max(size) > MAXIMUM_ASPECT_RATIO * min(size):
        raise _bad_size(text, "The aspect ratio must be between 1:3 and 3:1.")
    if not MINIMUM_AREA_PIXELS <= size.width * size.height <= MAXIMUM_AREA_PIXELS:
        raise _bad_size(text, f"The area must be between {MINIMUM_AREA_PIXELS} and {MAXIMUM_AREA_PIXELS} pixels.")


def _bad_size(text: str, reason: str) -> ApiError:
    """Wording of jezweb/claude-skills pull request 91."""
    return value_not_usable("size", f"Invalid size '{text}'. {reason}")
