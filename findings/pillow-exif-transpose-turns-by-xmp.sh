#!/usr/bin/env bash
# Pillow 13.0.0: ImageOps.exif_transpose() turns a picture that has no Exif block at all, when tiff:Orientation stands in
# its XMP. Image.getexif() fills the tag in from XMP where Exif does not have it. The documentation of exif_transpose()
# speaks of the Exif tag only; browsers and phones show such a file as its pixels are. Editors that turn the pixels and drop
# Exif often leave XMP as it was, so upright photographs come out lying on their side.
#
# Seen in November 2026:
#   "exif" in picture.info: False
#   getexif()[274]: 6
#   stored 40 x 20 -> exif_transpose 20 x 40
#   Exif says 1, XMP says 6: 40 x 20
#
# Needs Python 3.11 or newer and pip. Exits non-zero if that changes. What to do: read the tag from
# Image.Exif().load(picture.info.get("exif", b"")).
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" pillow==13.0.0

PYTHONPATH="$folder" python3 - <<'PYTHON'
import io
import sys

import PIL
from PIL import Image, ImageOps

print("Pillow", PIL.__version__)
ORIENTATION = 0x0112
XMP = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def jpeg(**options):
    file = io.BytesIO()
    Image.new("RGB", (40, 20)).save(file, "JPEG", xmp=XMP, **options)
    return Image.open(io.BytesIO(file.getvalue()))


picture = jpeg()
print('"exif" in picture.info:', "exif" in picture.info)
print("getexif()[274]:", picture.getexif().get(ORIENTATION))
turned = ImageOps.exif_transpose(picture)
print("stored %d x %d ->" % picture.size, "exif_transpose %d x %d" % turned.size)

upright = Image.Exif()
upright[ORIENTATION] = 1
with_exif = ImageOps.exif_transpose(jpeg(exif=upright))
print("Exif says 1, XMP says 6: %d x %d" % with_exif.size)

sys.exit(not ("exif" not in picture.info and turned.size == (20, 40) and with_exif.size == (40, 20)))
PYTHON
