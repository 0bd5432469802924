"""Photographs changed and saved again, as apps and lamps change them."""

import io
from typing import Final

from PIL import Image

from services.images.processor import load_rgb

JPEG_QUALITY: Final = 92
"""As an app saves what it changed."""
FULL_SIDE_PX: Final = 4096
"""The rendered photographs are smaller than this and are decoded as they are."""
LEVELS: Final = range(256)

Gains = tuple[float, float, float]
"""What red, green and blue are multiplied by."""


def whole_photograph(data: bytes) -> Image.Image:
    """The rendered photograph in its full size."""
    return load_rgb(data, FULL_SIDE_PX)


def stretched(photograph: Image.Image, factor: float) -> bytes:
    """The photograph as an app would save it after making it ``factor`` times as wide."""
    width, height = photograph.size
    return saved(photograph.resize((max(1, round(width * factor)), height), Image.Resampling.BICUBIC))


def in_light(photograph: Image.Image, gains: Gains) -> bytes:
    """The photograph with its channels multiplied, cut off at white."""
    return saved(photograph.point([min(LEVELS[-1], round(gain * level)) for gain in gains for level in LEVELS]))


def saved(image: Image.Image) -> bytes:
    """The picture as an app saves it, with nothing changed."""
    data = io.BytesIO()
    image.save(data, "JPEG", quality=JPEG_QUALITY)
    return data.getvalue()
