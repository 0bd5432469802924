"""Pictures made for the tests, honest and hostile ones."""

import io
import struct
import zlib
from typing import Any

from PIL import Image, ImageCms
from PIL.ExifTags import Base as ExifTag
from pillow_heif import register_heif_opener

register_heif_opener()  # to write HEIC

RED, GREEN, BLUE, WHITE, BLACK = (220, 30, 30), (30, 160, 40), (30, 60, 200), (255, 255, 255), (0, 0, 0)

UPRIGHT_CORNERS = (RED, GREEN, BLUE, WHITE)
"""Corner colours of ``four_corners``: top left, top right, bottom left, bottom right."""


def encoded(image: Image.Image, image_format: str, **options: Any) -> bytes:
    """The file ``image`` makes in ``image_format``; options go to Pillow's ``save``."""
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def plain(width: int, height: int, image_format: str = "JPEG", **options: Any) -> bytes:
    """A picture of one colour: quick to make at any size."""
    return encoded(Image.new("RGB", (width, height), RED), image_format, **options)


def four_corners(width: int = 80, height: int = 40) -> Image.Image:
    """A picture that shows how it is turned: each quarter has a colour of its own, and it is wider than high."""
    image = Image.new("RGB", (width, height))
    for index, colour in enumerate(UPRIGHT_CORNERS):
        left, top = (index % 2) * width // 2, (index // 2) * height // 2
        image.paste(colour, (left, top, left + width // 2, top + height // 2))
    return image


def corners(image: Image.Image) -> tuple[tuple[int, int, int], ...]:
    """Colours in the middle of the four quarters, in the order of ``UPRIGHT_CORNERS``."""
    width, height = image.size
    return tuple(
        image.convert("RGB").getpixel((x, y))  # type: ignore[misc] # an RGB pixel is three integers
        for y in (height // 4, height * 3 // 4)
        for x in (width // 4, width * 3 // 4)
    )


def with_orientation(upright: Image.Image, orientation: int, image_format: str = "JPEG", **options: Any) -> bytes:
    """``upright`` as a camera held another way stores it: the pixels turned, and the tag that says how."""
    as_stored = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[ExifTag.Orientation] = orientation
    stored = upright if as_stored is None else upright.transpose(as_stored)
    return encoded(stored, image_format, exif=exif.tobytes(), **options)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG, checksum included."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_file(width: int, height: int, image_data: bytes, *, bit_depth: int = 8, colour_type: int = 0) -> bytes:
    """A PNG with any header over any compressed data."""
    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", image_data) + png_chunk(b"IEND", b"")


def webp_announcing(width: int, height: int) -> bytes:
    """A WebP whose extended header announces a canvas of any size."""
    body = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


def gif_announcing(width: int, height: int) -> bytes:
    """A GIF whose first frame announces any size, within a screen of one pixel."""
    screen = struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0)
    return b"GIF89a" + screen + frame + b"\x02\x02\x4c\x01\x00;"


def jpeg_announcing(width: int, height: int) -> bytes:
    """A JPEG whose frame header announces any size."""
    small = plain(8, 8)
    start = small.index(b"\xff\xc0") + 5
    return small[:start] + struct.pack(">HH", height, width) + small[start + 4 :]


def jpeg_with_scans(scans: int) -> bytes:
    """A progressive JPEG whose last scan is repeated until there are ``scans`` more."""
    jpeg = plain(64, 64, progressive=True)
    last_scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    return jpeg[:-2] + last_scan * scans + jpeg[-2:]


def heif_family_announcing(width: int, height: int, image_format: str) -> bytes:
    """An AVIF or HEIC whose container announces any size for a picture of 64 by 64."""
    honest = plain(64, 64, image_format)
    box = b"ispe" + bytes(4)
    return honest.replace(box + struct.pack(">II", 64, 64), box + struct.pack(">II", width, height))


def with_properties(file: bytes, *properties: bytes) -> bytes:
    """A still AVIF or HEIC, written here, whose primary item, its first one, gets further properties, in this order."""
    indices_at, longer = 18, sum(map(len, properties)) + len(properties)
    file = _with_later_pixels(file, longer)
    associations = file.index(b"ipma") - 4
    count_at = associations + indices_at
    end = count_at + 1 + file[count_at]
    first_index = 1 + _boxes_in_property_container(file)
    indices = bytes(_ESSENTIAL | (first_index + nth) for nth in range(len(properties)))
    counted = bytes([file[count_at] + len(properties)]) + file[count_at + 1 : end] + indices
    file = file[:associations] + b"".join(properties) + file[associations:count_at] + counted + file[end:]
    by = {b"meta": longer, b"iprp": longer, b"ipco": longer - len(properties), b"ipma": len(properties)}
    for name, more in by.items():
        at = file.index(name) - 4
        file = file[:at] + struct.pack(">I", int.from_bytes(file[at : at + 4]) + more) + file[at + 4 :]
    return file


_ESSENTIAL = 0x80


def _with_later_pixels(file: bytes, by: int) -> bytes:
    """Every item's place (``iloc``) so many bytes later: libavif gives it as its one piece's, libheif as its base."""
    body = file.index(b"iloc") + 4
    entry_bytes, place_at = {b"\x44\x00": (14, 6), b"\x44\x40": (18, 4)}[file[body + 4 : body + 6]]
    changed = bytearray(file)
    for nth in range(int.from_bytes(file[body + 6 : body + 8])):
        at = body + 8 + nth * entry_bytes + place_at
        struct.pack_into(">I", changed, at, int.from_bytes(file[at : at + 4]) + by)
    return bytes(changed)


def _boxes_in_property_container(file: bytes) -> int:
    position = file.index(b"ipco") + 4
    end, count = file.index(b"ipma") - 4, 0
    while position < end:
        position += int.from_bytes(file[position : position + 4])
        count += 1
    return count


def box(name: bytes, body: bytes) -> bytes:
    """A box of ISO/IEC 14496-12."""
    return struct.pack(">I", 8 + len(body)) + name + body


def clean_aperture(*numbers: int) -> bytes:
    """Width and height of what is to be seen, and how far its middle is to the right of the picture's and below it;
    each a numerator and a denominator."""
    return box(b"clap", struct.pack(">4I iI iI", *numbers))


def swapped_primaries_profile() -> bytes:
    """A profile that is not sRGB: sRGB with red and green swapped, so that ignoring it cannot go unnoticed."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"temp").replace(b"gXYZ", b"rXYZ").replace(b"temp", b"gXYZ")
    return swapped.replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be")).replace(b"sRGB", b"swap")


def gif_with_frames(first: Image.Image, frames: int) -> bytes:
    """A GIF whose first frame is followed by ``frames`` tiny ones."""
    gif = encoded(first, "GIF")
    tiny = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return gif[:-1] + tiny * frames + b";"
