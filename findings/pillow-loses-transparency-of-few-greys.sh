#!/usr/bin/env bash
# Pillow 13.0.0: a PNG says which grey or colour is transparent by one sample value (tRNS), at the picture's own depth.
# Pillow stretches samples of 2 and 4 bits to 0 ... 255 and cuts those of 16 bits down to 8, but compares them with the
# value as it stands in the file. So
#   * of greys in 2 or 4 bits nothing is transparent (unless the value is 0): what was left out comes back as a plane of
#     grey or white, and has_transparency_data says that all is well;
#   * of colours in 16 bits the lower eight bits of the value are looked for among the upper eight of the samples: what
#     is transparent stays, and another colour goes.
# In 1 and 8 bits it is right, and Pillow itself writes neither of the others; so no test with one's own files shows it.
# Who does write them: oxipng (-a) makes of a drawing in few greys with transparency a PNG of 2 or 4 bits, losslessly.
#
# Seen in November 2026 (pyoxipng 9.1.1; alpha, and grey if it shows, outside of the drawing, and alpha inside):
#   as drawn, RGBA            in  8 bits: alpha   0            inside 255
#   oxipng of black           in  1 bit:  alpha   0            inside 255
#   oxipng of black, white    in  2 bits: alpha 255, grey  85  inside 255
#   oxipng of four greys      in  4 bits: alpha 255, grey 170  inside 255
#   0x3456 on nothing, RGB    in 16 bits: alpha 255, grey  18  inside   0 (nothing is 0x1234)
#
# Needs Python 3.11 or newer and pip. Exits non-zero if that changes. What to do: before such a picture is converted,
# multiply picture.info["transparency"] by 85 (2 bits) or 17 (4 bits), or shift each of its three right by 8 (16 bits).
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" pillow==13.0.0 pyoxipng==9.1.1

PYTHONPATH="$folder" python3 - <<'PYTHON'
import io
import struct
import sys
import zlib
from importlib.metadata import version

import oxipng
import PIL
from PIL import Image

print("Pillow", PIL.__version__, "pyoxipng", version("pyoxipng"))
SIDE = 64
OUTSIDE, INSIDE = (0, 0), (SIDE // 2, SIDE // 2)
DEPTH_AT = 24
NOTHING, SOMETHING = 0x1234, 0x3456
PNG = "\x89PNG\r\n\x1a\n".encode("latin-1")


def drawn(*greys):
    """A block of each grey in the middle, the last one in its centre; nothing around it."""
    drawing = Image.new("RGBA", (SIDE, SIDE))
    for nth, grey in enumerate(greys):
        margin = 8 + 2 * nth
        drawing.paste((grey, grey, grey, 255), (margin, margin, SIDE - margin, SIDE - margin))
    return drawing


def as_png(drawing):
    file = io.BytesIO()
    drawing.save(file, "PNG")
    return file.getvalue()


def made_small(drawing):
    return oxipng.optimize_from_memory(as_png(drawing), level=2, optimize_alpha=True)


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def in_16_bits():
    """A block in the middle, on a grey that the file calls transparent."""
    outside, inside = (struct.pack(">3H", level, level, level) for level in (NOTHING, SOMETHING))
    edge = b"\0" + outside * SIDE
    row = b"\0" + outside * 8 + inside * (SIDE - 16) + outside * 8
    rows = edge * 8 + row * (SIDE - 16) + edge * 8
    header = struct.pack(">2I5B", SIDE, SIDE, 16, 2, 0, 0, 0)
    data = chunk(b"tRNS", outside) + chunk(b"IDAT", zlib.compress(rows))
    return PNG + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def seen(file):
    """Depth, alpha and grey outside, alpha inside, and whether Pillow says that there is transparency."""
    with Image.open(io.BytesIO(file)) as picture:
        has = picture.has_transparency_data
        shown = picture.convert("RGBA")
    grey, _, _, alpha = shown.getpixel(OUTSIDE)
    return file[DEPTH_AT], alpha, grey if alpha else None, shown.getpixel(INSIDE)[3], has


CASES = {
    "as drawn, RGBA": (as_png(drawn(0, 255)), (8, 0, None, 255, True)),
    "oxipng of black": (made_small(drawn(0)), (1, 0, None, 255, True)),
    "oxipng of black, white": (made_small(drawn(0, 255)), (2, 255, 85, 255, True)),
    "oxipng of four greys": (made_small(drawn(0, 85, 255, 34)), (4, 255, 170, 255, True)),
    "0x3456 on nothing, RGB": (in_16_bits(), (16, 255, NOTHING >> 8, 0, True)),
}
as_seen = []
for label, (file, expected) in CASES.items():
    found = seen(file)
    depth, alpha, grey, inside, has = found
    shown = "" if grey is None else f", grey {grey:3}"
    print(f"{label:24}  in {depth:2} bits: alpha {alpha:3}{shown:10}  inside {inside:3}  has_transparency_data {has}")
    as_seen.append(found == expected)
sys.exit(0 if all(as_seen) else "this is no longer so")
PYTHON
