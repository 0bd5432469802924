"""[pure] What a picture may have at most, for those who must know it without loading a decoder."""

from typing import Final

MAX_PIXELS: Final = 64_000_000
"""Phones make pictures of 48 to 50 megapixels; a decoded pixel takes four bytes."""
