"""[pure] What a file is by its first bytes."""

from typing import Final

SNIFFED_BYTES: Final = 12
"""As many as the signatures below look at."""

_BEGINNINGS: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
_HEIF_BRANDS: Final = frozenset(
    {b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
)


def looks_like_a_picture(beginning: bytes) -> bool:
    """Whether bytes begin like one of the formats we read; for telling people what went wrong, not for safety."""
    is_webp = beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP"
    is_heif = beginning[4:8] == b"ftyp" and beginning[8:12] in _HEIF_BRANDS
    return is_webp or is_heif or beginning.startswith(_BEGINNINGS)
