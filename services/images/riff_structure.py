"""[pure] The chunks of a WebP file (RFC 9649), as far as a file that was cut off needs to be understood."""

import struct
from typing import Final

from models.failures import IncompletePicture

_HEADER_BYTES: Final = 12
_CHUNK_HEADER_BYTES: Final = 8
_PIXELS: Final = frozenset({b"VP8 ", b"VP8L"})
_FRAME: Final = b"ANMF"
_EXTENDED: Final = b"VP8X"
_HAS_EXIF: Final = 0x08
"""Of the flags in ``VP8X``: which way up the picture is may stand in a chunk behind the pixels."""


def is_webp(data: bytes) -> bool:
    """Whether it begins like a WebP file."""
    return data.startswith(b"RIFF") and data[8:_HEADER_BYTES] == b"WEBP"


def missing_bytes(data: bytes) -> int:
    """By how much the file is shorter than its header says."""
    return max(0, 8 + int.from_bytes(data[4:8], "little") - len(data))


def completed(data: bytes, filler: bytes) -> bytes:
    """A valid file of what is there: pixels go on with ``filler``, other chunks that are cut off are left out.

    Raises:
        IncompletePicture: there are no pixels yet, or it is lost which way up they are.
    """
    position, has_picture, flags, found = _HEADER_BYTES, False, 0, set()
    body = data[8:]
    while position + _CHUNK_HEADER_BYTES <= len(data):
        name = data[position : position + 4]
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        end = position + _CHUNK_HEADER_BYTES + size + size % 2
        if end > len(data):
            has_picture = has_picture or name in _PIXELS
            body = _continued(data, position, filler) if name in _PIXELS else data[8:position]
            break
        has_picture = has_picture or name in _PIXELS or name == _FRAME
        if name == _EXTENDED and size:
            flags = data[position + _CHUNK_HEADER_BYTES]
        found.add(name)
        position = end
    else:
        body = data[8:position]
    if not has_picture:
        raise IncompletePicture("there are no pixels")
    if flags & _HAS_EXIF and b"EXIF" not in found:
        raise IncompletePicture("which way up the picture is, is lost")
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _continued(data: bytes, position: int, filler: bytes) -> bytes:
    """What follows the file's header up to the end of a chunk of pixels, to which ``filler`` is added."""
    filler += bytes((len(data) + len(filler)) % 2)
    size = len(data) + len(filler) - position - _CHUNK_HEADER_BYTES
    return data[8 : position + 4] + struct.pack("<I", size) + data[position + _CHUNK_HEADER_BYTES :] + filler
