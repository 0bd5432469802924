"""[pure] The chunks of a PNG that have a say in how it looks (ISO/IEC 15948); the others never reach the decoder."""

import zlib
from typing import Final, NamedTuple

from models.failures import NotAnImage
from services.images.colours import CodePoints

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"

MAX_CHUNKS: Final = 20_000
"""Ten megabytes in the smallest pieces that encoders write (4 KiB) have 2,500."""

MAX_PROFILE_BYTES: Final = 1024 * 1024
"""Inflated; printers' profiles have half of it, cameras' three kilobytes. A larger one is left out."""

CRITICAL: Final = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"CgBI"})
"""Without these there is no picture; Apple's ``CgBI`` says that it is none for others, which the decoder must see."""

_ASIDE: Final = frozenset({b"tRNS", b"eXIf"})
"""Transparency and orientation. Of these and of profiles there may be one each; the first counts."""

_LENGTH_AND_NAME: Final = 8
_CHECKSUM: Final = 4
_CODE_POINTS: Final = 4
"""Bytes of ``cICP``: primaries, curve, matrix and range."""


class EssentialPng(NamedTuple):
    """A PNG without side data, the colours its code points name, and whether it was cut off after its header."""

    data: bytes
    colours: CodePoints | None
    ends_early: bool


def essential_png(data: bytes) -> EssentialPng:
    """Leave out what does not make the picture: texts, times, later frames, broken or huge colour profiles.

    Raises:
        NotAnImage: a chunk that makes the picture has a wrong checksum, or there are more than ``MAX_CHUNKS``.
    """
    view = memoryview(data)
    kept: list[memoryview] = []
    seen: set[bytes] = set()
    kept_from, position, colours = 0, len(SIGNATURE), None
    for _ in range(MAX_CHUNKS):
        name = data[position + 4 : position + _LENGTH_AND_NAME]
        end = position + _LENGTH_AND_NAME + int.from_bytes(data[position : position + 4]) + _CHECKSUM
        if end > len(data):  # cut off: how much there is of a picture is the decoder's to find out
            tail = view[kept_from:] if name in CRITICAL else view[kept_from:position]
            return EssentialPng(b"".join([*kept, tail]), colours, ends_early=position > len(SIGNATURE))
        body = view[position + _LENGTH_AND_NAME : end - _CHECKSUM]
        is_intact = zlib.crc32(body, zlib.crc32(name)) == int.from_bytes(data[end - _CHECKSUM : end])
        if name in CRITICAL and not is_intact:
            raise NotAnImage(f"wrong checksum of {name.decode()}")
        if name == b"cICP" and is_intact and len(body) == _CODE_POINTS:
            colours = CodePoints(body[0], body[1])
        is_kept = name in CRITICAL or (is_intact and name not in seen and _is_needed(name, body))
        seen.add(name)
        if not is_kept:
            kept.append(view[kept_from:position])
            kept_from = end
        position = end
        if name == b"IEND":
            return EssentialPng(b"".join([*kept, view[kept_from:end]]), colours, ends_early=False)
    raise NotAnImage(f"more than {MAX_CHUNKS} chunks")


def _is_needed(name: bytes, body: memoryview) -> bool:
    return name in _ASIDE or (name == b"iCCP" and _is_usable_profile(bytes(body)))


def _is_usable_profile(body: bytes) -> bool:
    """A name, the one compression there is, and a profile of a size that makes sense."""
    _, separator, compressed = body.partition(b"\0")
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(compressed[1:], MAX_PROFILE_BYTES + 1)
    except zlib.error:
        return False
    return bool(separator) and compressed[:1] == b"\0" and inflate.eof and 0 < len(profile) <= MAX_PROFILE_BYTES
