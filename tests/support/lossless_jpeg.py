"""Lossless JPEGs (ITU-T T.81 annex H), which medical and scanning software writes and Pillow cannot."""

import struct

from PIL import Image

_CATEGORIES = range(17)
"""How many bits a difference takes."""
_CODE_BITS = 5
"""All categories have codes of the same length: room for 31."""


def lossless_jpeg(image: Image.Image) -> bytes:
    """``image``, which is grey or RGB, predicted from the pixel to the left."""
    bands = [list(band.tobytes()) for band in image.split()]
    width, height = image.size
    bits: list[str] = []
    for row in range(height):
        for column in range(width):
            for band in bands:
                at = row * width + column
                predicted = band[at - 1] if column else band[at - width] if row else 128
                bits.append(_coded(band[at] - predicted))
    stream = "".join(bits)
    stream += "1" * (-len(stream) % 8)
    scan = bytes(int(stream[at : at + 8], 2) for at in range(0, len(stream), 8)).replace(b"\xff", b"\xff\x00")
    # As RGB by its components' names, since differently from other JPEGs there is no loss by converting.
    names = b"RGB"[: len(bands)]
    frame = struct.pack(">BHHB", 8, height, width, len(bands)) + b"".join(bytes([name, 0x11, 0]) for name in names)
    table = bytes([0, *[0] * (_CODE_BITS - 1), len(_CATEGORIES), *[0] * (16 - _CODE_BITS), *_CATEGORIES])
    header = bytes([len(bands)]) + b"".join(bytes([name, 0]) for name in names) + bytes([1, 0, 0])
    segments = ((0xC3, frame), (0xC4, table), (0xDA, header))
    head = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments)
    return b"\xff\xd8" + head + scan + b"\xff\xd9"


def _coded(difference: int) -> str:
    category = abs(difference).bit_length()
    code = f"{category:0{_CODE_BITS}b}"
    if not category:
        return code
    return code + f"{difference if difference > 0 else difference + (1 << category) - 1:0{category}b}"
