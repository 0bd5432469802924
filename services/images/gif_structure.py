"""[pure] Whether a GIF goes on to its trailer (GIF89a specification, 1990). Bounded."""

from typing import Final

SIGNATURES: Final = (b"GIF87a", b"GIF89a")

MAX_BLOCKS: Final = 200_000
"""Ten megabytes in full blocks of 255 bytes are 41,000."""

_SCREEN_BYTES: Final = 13
_FLAGS_AT: Final = 10
_EXTENSION, _FRAME = 0x21, 0x2C
_FRAME_HEADER_BYTES: Final = 10


def ends_early(data: bytes) -> bool:
    """Whether the data end within a block or without a trailer."""
    if len(data) < _SCREEN_BYTES:
        return False  # not even the header of a picture
    position = _SCREEN_BYTES + _colour_table_bytes(data[_FLAGS_AT])
    within_blocks = False
    for _ in range(MAX_BLOCKS):
        if position >= len(data):
            return True
        kind = data[position]
        if within_blocks:
            position += 1 + kind  # the length of what follows; none is the end
            within_blocks = kind != 0
        elif kind == _EXTENSION:
            position, within_blocks = position + 2, True
        elif kind == _FRAME:
            flags = data[position + 9 : position + _FRAME_HEADER_BYTES] or b"\0"
            code_size_bytes = 1
            position += _FRAME_HEADER_BYTES + _colour_table_bytes(flags[0]) + code_size_bytes
            within_blocks = True
        else:
            return False  # the trailer, or broken
    return False


def _colour_table_bytes(flags: int) -> int:
    has_table, size = flags & 0x80, flags & 0x07
    return 3 << (size + 1) if has_table else 0
