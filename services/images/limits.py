"""[pure] What a picture may have at most, for those who must know it without loading a decoder."""

from dataclasses import dataclass
from typing import Final

MAX_PIXELS: Final = 64_000_000
"""Phones make pictures of 48 to 50 megapixels; a decoded pixel takes four bytes."""

MAX_DECODE_BYTES: Final = 512 * 1024 * 1024
"""Of the container's 896 MiB: the most memory that decoding one picture may need at its peak."""

LARGE_DECODE_BYTES: Final = 128 * 1024 * 1024
"""A picture that takes more than this is decoded with no other large one, in whatever process of this installation, so
that two 48-megapixel pictures never meet in the container's memory. A 12-megapixel photo stays below in JPEG, HEIC and
PNG; AVIF always counts as large."""


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What decoding one picture may take; other values in tests only."""

    max_pixels: int = MAX_PIXELS
    max_decode_bytes: int = MAX_DECODE_BYTES
    large_decode_bytes: int = LARGE_DECODE_BYTES


DECODE_LIMITS: Final = DecodeLimits()
"""Those of production."""
