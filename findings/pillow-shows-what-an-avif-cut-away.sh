#!/usr/bin/env bash
# Pillow 13.0.0 (libavif 1.4.2): the container of an AVIF may turn, mirror and crop its picture (irot, imir and clap, the
# "clean aperture", of ISO/IEC 23008-12; all of them marked as essential). Pillow translates a turn into an Exif block
# that it makes up, so exif_transpose() does what the file asks for. A crop it drops: the whole picture comes out, and
# nothing in picture.info says that it should be less. libavif leaves both to its caller; libheif carries both out, so the
# same box in a HEIC is obeyed, and the same AVIF has another size in another program.
#
# Who writes such a file: encoders in hardware, which take whole blocks only (of 8 or 64 samples) and have their filling
# cut off like that; `avifenc --crop`. One sees a rim of filling, or what somebody did not want to show.
#
# Seen in November 2026 (128 x 96, of which the 96 x 64 at the top left are to be seen; blue is what was cut away):
#   AVIF                 Pillow 128 x 96, last pixel blue        libheif (pyvips) 96 x 64, last pixel red
#   the same, turned     Pillow 96 x 128, last pixel blue        libheif (pyvips) 64 x 96, last pixel red
#   HEIC                 pillow-heif 96 x 64, last pixel red
#   keys of picture.info of the AVIF: none
#
# Needs Python 3.11 or newer and pip (fetches 30 MB). Exits non-zero if that changes. What to do: look for clap among
# the properties of the primary item, and crop before the picture is turned.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  pillow==13.0.0 pillow-heif==1.8.1 pyvips==3.2.0 pyvips-binary==8.18.7

"$folder/venv/bin/python" - <<'PYTHON'
import io
import struct
import sys

import PIL
import pillow_heif
import pyvips
from PIL import Image, ImageOps, features

pillow_heif.register_heif_opener()
print("Pillow", PIL.__version__, "libavif", features.version("avif"), "pyvips", pyvips.__version__)
print("pillow-heif", pillow_heif.__version__, "libheif", pillow_heif.libheif_version())
SIZE, SHOWN = (128, 96), (96, 64)
RED, BLUE = (220, 30, 30), (30, 60, 200)
NAMES = {RED: "red", BLUE: "blue"}
ESSENTIAL = 0x80
ASSOCIATIONS_AT = 18


def box(name, body):
    return struct.pack(">I", 8 + len(body)) + name + body


def kept_at_the_top_left():
    """Width, height, and how far the middle of what is kept is from the middle of all, each as a fraction."""
    (width, height), (all_width, all_height) = SHOWN, SIZE
    offsets = (width - all_width, 2, height - all_height, 2)
    return box(b"clap", struct.pack(">4I", width, 1, height, 1) + struct.pack(">iIiI", *offsets))


def grown(file, name, by):
    at = file.index(name) - 4
    return file[:at] + struct.pack(">I", int.from_bytes(file[at : at + 4]) + by) + file[at + 4 :]


def with_properties(file, *added):
    """The file of one picture, which gets further properties, in this order."""
    by = sum(map(len, added)) + len(added)
    pixels_at = file.index(b"mdat") + 4
    location = file.index(struct.pack(">I", pixels_at), file.index(b"iloc"))
    file = file[:location] + struct.pack(">I", pixels_at + by) + file[location + 4 :]

    associations = file.index(b"ipma") - 4
    count_at = associations + ASSOCIATIONS_AT
    count, end = file[count_at], count_at + 1 + file[count_at]
    indices = bytes(ESSENTIAL | (count + 1 + nth) for nth in range(len(added)))
    file = file[:count_at] + bytes([count + len(added)]) + file[count_at + 1 : end] + indices + file[end:]
    file = file[:associations] + b"".join(added) + file[associations:]
    for name in (b"meta", b"iprp"):
        file = grown(file, name, by)
    return grown(grown(file, b"ipco", sum(map(len, added))), b"ipma", len(added))


def encoded(picture, kind):
    file = io.BytesIO()
    picture.save(file, kind, quality=90)
    return file.getvalue()


def described(picture):
    last = picture.getpixel((picture.width - 1, picture.height - 1))
    colour = min(NAMES, key=lambda one: sum(abs(a - b) for a, b in zip(one, last, strict=True)))
    return "{} x {}, last pixel {}".format(*picture.size, NAMES[colour])


def by_pillow(file):
    with Image.open(io.BytesIO(file)) as picture:
        return ImageOps.exif_transpose(picture)


def by_libheif(file):
    picture = pyvips.Image.new_from_buffer(file, "")
    return Image.frombytes("RGB", (picture.width, picture.height), picture.write_to_memory())


picture = Image.new("RGB", SIZE, BLUE)
picture.paste(RED, (0, 0, *SHOWN))
crop, turn = kept_at_the_top_left(), box(b"irot", b"\1")
avif, heic = with_properties(encoded(picture, "AVIF"), crop), with_properties(encoded(picture, "HEIF"), crop)
turned = with_properties(encoded(picture, "AVIF"), crop, turn)
with Image.open(io.BytesIO(avif)) as opened:
    info = ", ".join(sorted(opened.info))
seen = {
    "AVIF: Pillow": described(by_pillow(avif)),
    "AVIF: libheif": described(by_libheif(avif)),
    "HEIC: pillow-heif": described(by_pillow(heic)),
    "AVIF, turned too: Pillow": described(by_pillow(turned)),
    "AVIF, turned too: libheif": described(by_libheif(turned)),
    "keys of picture.info": info or "none",
}
EXPECTED = [
    "128 x 96, last pixel blue",
    "96 x 64, last pixel red",
    "96 x 64, last pixel red",
    "96 x 128, last pixel blue",
    "64 x 96, last pixel red",
    "none",
]
for what, found in seen.items():
    print(f"{what:26} {found}")
sys.exit(0 if list(seen.values()) == EXPECTED else "this is no longer so")
PYTHON
