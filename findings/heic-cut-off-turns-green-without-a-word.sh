#!/usr/bin/env bash
# pillow-heif 1.8.0 (libheif 1.23.4): a HEIC in tiles, as phones write them, that was cut off (an upload that broke, a
# messenger's limit) opens and loads without an error or a warning. Every tile whose data are missing is one even green.
# The same picture in one piece is refused with "Unexpected end of file", as a cut JPEG or PNG is by Pillow; so whoever
# tries a cut file that pillow-heif itself has saved, which is in one piece unless told otherwise, sees the refusal and
# counts on it. A photograph from a phone then goes on, half a person and half a green wall.
#
# Seen in November 2026 (1024 x 1024, 16 tiles of 256; a tile is wrong when it differs by more than 40 levels on average):
#   in tiles   whole                no error, 0 of 16 tiles wrong
#   in tiles   the first 90 %       no error, 2 of 16 tiles wrong, in one colour: (0, 136, 0)
#   in tiles   the first 60 %       no error, 7 of 16 tiles wrong, in one colour: (0, 136, 0)
#   one piece  whole                no error, 0 of 16 tiles wrong
#   one piece  the first 60 %       ValueError: Invalid input: Unexpected end of file
#
# Needs Python 3.11 or newer and pip. Exits non-zero if that changes. What to do: compare the file's length with what its
# boxes say (the last top-level box, and every extent in iloc) before it is decoded.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" pillow==13.0.0 pillow-heif==1.8.0

PYTHONPATH="$folder" python3 - <<'PYTHON'
import io
import sys

import PIL
import pillow_heif
from PIL import Image, ImageChops, ImageStat

SIDE, TILE = 1024, 256
ALL = (SIDE // TILE) ** 2
MOST_LEVELS = 40
GREEN = (0, 136, 0)

print("Pillow", PIL.__version__, "pillow-heif", pillow_heif.__version__, "libheif", pillow_heif.libheif_version())
pillow_heif.register_heif_opener()
gradients = [Image.linear_gradient("L"), Image.radial_gradient("L")]
picture = Image.merge("RGB", [Image.effect_noise((SIDE, SIDE), 60), *(each.resize((SIDE, SIDE)) for each in gradients)])


def saved(**how):
    output = io.BytesIO()
    picture.save(output, "HEIF", quality=70, **how)
    return output.getvalue()


def wrong_tiles(image):
    for top in range(0, SIDE, TILE):
        for left in range(0, SIDE, TILE):
            tile, truth = (one.crop((left, top, left + TILE, top + TILE)) for one in (image, picture))
            if max(ImageStat.Stat(ImageChops.difference(tile, truth)).mean) > MOST_LEVELS:
                yield tile


def looked_at(data):
    """How many tiles are wrong, and the colours of those that have only one."""
    image = Image.open(io.BytesIO(data))
    image.load()
    wrong = list(wrong_tiles(image))
    return len(wrong), {tile.getpixel((0, 0)) for tile in wrong if tile.getcolors(1)}


def told(name, what, data):
    try:
        count, colours = looked_at(data)
    except ValueError as error:
        print(f"{name:10} {what:20} ValueError: {error}".rstrip())
        return None
    print(f"{name:10} {what:20} no error, {count} of {ALL} tiles wrong", f"in one colour: {colours}" if colours else "")
    return count, colours


tiled, one_piece = saved(tile_size=TILE), saved()
whole, most, half, *in_one_piece = [
    told("in tiles", "whole", tiled),
    told("in tiles", "the first 90 %", tiled[: len(tiled) * 9 // 10]),
    told("in tiles", "the first 60 %", tiled[: len(tiled) * 6 // 10]),
    told("one piece", "whole", one_piece),
    told("one piece", "the first 60 %", one_piece[: len(one_piece) * 6 // 10]),
]
silent = None not in (whole, most, half) and whole[0] == 0 < most[0] < half[0]
green = silent and most[1] == half[1] == {GREEN}
sys.exit(0 if green and in_one_piece == [(0, set()), None] else "this is no longer so")
PYTHON
