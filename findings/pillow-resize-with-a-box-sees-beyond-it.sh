#!/usr/bin/env bash
# Pillow 13.0.0: resize(size, box=box) is not crop(box).resize(size). The box says which part fills the result, but the
# filter goes on reading beyond it: what borders on the box bleeds into the edge of the result, with every filter but BOX
# and NEAREST. The documentation calls the box "the source image region to be scaled", and thumbnail() and ImageOps.fit()
# work by it. Whoever cuts a coloured border, a neighbour in a sheet or a bar of a video away like that keeps a rim of it.
#
# Seen in November 2026 (left half black, right half white, the box is the black half; the last two columns of ten):
#   filter    crop, then resize   resize with box   the same with reducing_gap=2
#   BILINEAR  [0, 0]              [0, 32]           [0, 32]
#   BICUBIC   [0, 0]              [0, 20]           [0, 17]
#   LANCZOS   [0, 0]              [0, 17]           [0, 14]
#
# Needs Python 3.11 or newer and pip. Exits non-zero if that changes. What to do: crop() first, or reduce(factor, box),
# which keeps to its box.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" pillow==13.0.0

PYTHONPATH="$folder" python3 - <<'PYTHON'
import sys

import PIL
from PIL import Image
from PIL.Image import Resampling

print("Pillow", PIL.__version__)
SIDE, SMALL = 200, 10
BOX = (0, 0, SIDE // 2, SIDE)

picture = Image.new("L", (SIDE, SIDE), 255)
picture.paste(0, BOX)


def edge(image):
    return [image.getpixel((x, SMALL // 2)) for x in range(SMALL - 2, SMALL)]


print("filter    crop, then resize   resize with box   the same with reducing_gap=2")
bled = {}
for name in ("BOX", "BILINEAR", "HAMMING", "BICUBIC", "LANCZOS"):
    sampling = Resampling[name]
    cropped = edge(picture.crop(BOX).resize((SMALL, SMALL), sampling))
    boxed = edge(picture.resize((SMALL, SMALL), sampling, box=BOX))
    with_gap = edge(picture.resize((SMALL, SMALL), sampling, box=BOX, reducing_gap=2.0))
    print(f"{name:9} {cropped!s:19} {boxed!s:17} {with_gap}")
    bled[name] = cropped == [0, 0] and max(boxed) > 10
expected = {"BOX": False, "BILINEAR": True, "HAMMING": True, "BICUBIC": True, "LANCZOS": True}
reduced = edge(picture.reduce(SIDE // SMALL // 2, BOX).resize((SMALL, SMALL), Resampling.BICUBIC))
sys.exit(0 if bled == expected and reduced == [0, 0] else "this is no longer so")
PYTHON
