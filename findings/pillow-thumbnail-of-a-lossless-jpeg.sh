#!/usr/bin/env bash
# Pillow 13.0.0 (wheel from PyPI, libjpeg-turbo 3): a lossless JPEG (ITU-T T.81 process 14, SOF3; scanners and medical
# software write them) opens and loads, but Image.thumbnail() of the same file fails with
#   OSError: broken data stream when reading image file
# thumbnail() asks draft() for a reduced scale; draft() agrees, without regard to the process, and the decoder, which has
# no reduced scale for lossless data, then gives up. Whoever tests with load() and serves with thumbnail() is surprised.
#
# Seen in November 2026:
#   load(): (160, 80) ok
#   draft((20, 10)): ('RGB', (0, 0, 20.0, 10.0))
#   thumbnail((20, 10)): OSError: broken data stream when reading image file
#
# Needs Python 3.11 or newer and pip. Exits non-zero if that changes. What to do: do not call draft() or thumbnail() for
# SOF3, SOF7, SOF11 and SOF15; load, then resize.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" pillow==13.0.0

PYTHONPATH="$folder" python3 - <<'PYTHON'
import io
import struct
import sys

import PIL
from PIL import Image

print("Pillow", PIL.__version__)
WIDTH, HEIGHT, CODE_BITS = 160, 80, 5


def segment(marker, body):
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def code(difference):
    """A Huffman code of five bits for the number of bits, then the bits (T.81 annex H.1.2)."""
    size = abs(difference).bit_length()
    bits = difference if difference > 0 else difference + (1 << size) - 1
    return f"{size:05b}" + (f"{bits:0{size}b}" if size else "")


def lossless_jpeg():
    """Three components, 8 bits, each pixel predicted from the one to its left (the first of a row: above)."""
    value = lambda row, column, component: (row * 3 + column + component * 60) % 256
    stream = []
    for row in range(HEIGHT):
        for column in range(WIDTH):
            for component in range(3):
                if column:
                    predicted = value(row, column - 1, component)
                else:
                    predicted = value(row - 1, 0, component) if row else 128
                stream.append(code(value(row, column, component) - predicted))
    bits = "".join(stream)
    bits += "1" * (-len(bits) % 8)
    pixels = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)).replace(b"\xff", b"\xff\x00")
    frame = struct.pack(">BHHB", 8, HEIGHT, WIDTH, 3) + b"".join(bytes([name, 0x11, 0]) for name in b"RGB")
    table = bytes([0, 0, 0, 0, 0, 17, *[0] * 11, *range(17)])
    scan = b"\x03" + b"".join(bytes([name, 0]) for name in b"RGB") + b"\x01\x00\x00"
    return b"\xff\xd8" + segment(0xC3, frame) + segment(0xC4, table) + segment(0xDA, scan) + pixels + b"\xff\xd9"


jpeg = lossless_jpeg()
whole = Image.open(io.BytesIO(jpeg))
whole.load()
right = whole.getpixel((10, 20)) == ((20 * 3 + 10) % 256, (20 * 3 + 70) % 256, (20 * 3 + 130) % 256)
print("load():", whole.size, "ok" if right else "wrong pixels")

drafted = Image.open(io.BytesIO(jpeg)).draft(None, (20, 10))
print("draft((20, 10)):", drafted)

try:
    Image.open(io.BytesIO(jpeg)).thumbnail((20, 10))
    outcome = "works"
except OSError as error:
    outcome = f"OSError: {error}"
print("thumbnail((20, 10)):", outcome)

sys.exit(not (right and drafted is not None and "broken data stream" in outcome))
PYTHON
