"""What stands beside the pixels of a file (texts, profiles, notes) decides nothing over the picture."""

import io
import struct
import zlib

import pytest
from PIL import Image
from PIL.ExifTags import Base as ExifTag

from models.failures import NotAnImage
from services.images import png_structure
from services.images.jpeg_structure import without_side_data
from services.images.png_structure import MAX_CHUNKS, MAX_PROFILE_BYTES, essential_png
from services.images.processor import load_rgb, prepare_image
from tests.support.images import (
    UPRIGHT_CORNERS,
    corners,
    encoded,
    four_corners,
    plain,
    png_chunk,
    swapped_primaries_profile,
    with_orientation,
)
from tests.support.processor_time import processor_seconds

MEGABYTE = 1024 * 1024
AFTER_HEADER = 33
"""Where the chunks behind a PNG's header begin."""
AFTER_SIGNATURE = 2
"""Where the segments of a JPEG begin."""

XMP_TURNED = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def assert_upright(data: bytes) -> None:
    image = load_rgb(data, 1024)
    found = corners(image)
    assert image.size == (80, 40)
    assert all(
        abs(a - b) < 16 for pair in zip(found, UPRIGHT_CORNERS, strict=True) for a, b in zip(*pair, strict=True)
    ), found


def png_with(*chunks: bytes, behind_pixels: bool = False) -> bytes:
    data = encoded(four_corners(), "PNG")
    at = len(data) - 12 if behind_pixels else AFTER_HEADER
    return data[:at] + b"".join(chunks) + data[at:]


def spoilt(chunk: bytes) -> bytes:
    """With a wrong checksum."""
    return chunk[:-1] + bytes([chunk[-1] ^ 1])


SIDE_CHUNKS = {
    "a profile of 2 MB": png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(2 * MEGABYTE))),
    "a text of 2 MB": png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * (2 * MEGABYTE))),
    "an international text of 2 MB": png_chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(b"x" * (2 * MEGABYTE))),
    "a text with a wrong checksum": spoilt(png_chunk(b"tEXt", b"Comment\0hello")),
    "a profile with a wrong checksum": spoilt(
        png_chunk(b"iCCP", b"x\0\0" + zlib.compress(swapped_primaries_profile()))
    ),
    "an orientation with a wrong checksum": spoilt(png_chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\0")),
    "a profile that is not compressed": png_chunk(b"iCCP", b"x\0\0no zlib"),
    "a profile compressed in an unknown way": png_chunk(b"iCCP", b"x\0\7" + zlib.compress(swapped_primaries_profile())),
    "a profile that is cut off": png_chunk(b"iCCP", b"x\0\0" + zlib.compress(swapped_primaries_profile())[:-40]),
    "a broken physical size": png_chunk(b"pHYs", b"\0"),
    "a broken gamma": png_chunk(b"gAMA", b""),
    "an animation that never comes": png_chunk(b"acTL", struct.pack(">II", 9, 0)),
    "something private": png_chunk(b"prVt", bytes(100)),
    "many texts": png_chunk(b"tEXt", b"Comment\0hello") * 5_000,
    "a text that says it is turned": png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP_TURNED),
}


@pytest.mark.parametrize("chunk", SIDE_CHUNKS.values(), ids=SIDE_CHUNKS)
@pytest.mark.parametrize("behind_pixels", [False, True], ids=["before the pixels", "behind them"])
def test_a_side_chunk_of_a_png_refuses_and_turns_nothing(chunk: bytes, behind_pixels: bool) -> None:
    assert_upright(png_with(chunk, behind_pixels=behind_pixels))


def test_a_profile_of_the_largest_size_is_still_read_and_one_byte_more_is_left_out() -> None:
    def kept(size: int) -> bool:
        chunk = png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(size)))
        return chunk in essential_png(png_with(chunk)).data

    assert kept(MAX_PROFILE_BYTES)
    assert not kept(MAX_PROFILE_BYTES + 1)


def test_what_belongs_to_the_picture_is_still_heard() -> None:
    turned = with_orientation(four_corners(), 6, "PNG")
    assert_upright(turned[:AFTER_HEADER] + SIDE_CHUNKS["a text with a wrong checksum"] + turned[AFTER_HEADER:])
    coloured = encoded(four_corners(), "PNG", icc_profile=swapped_primaries_profile(), pnginfo=None)
    red, *_ = corners(load_rgb(coloured, 1024))
    assert red[1] > 150 > red[0]
    see_through = encoded(four_corners(), "PNG", transparency=UPRIGHT_CORNERS[0])
    assert corners(load_rgb(see_through, 1024))[0] == (255, 255, 255)


@pytest.mark.parametrize("name", [b"IHDR", b"PLTE", b"IDAT", b"IEND"])
def test_a_wrong_checksum_of_what_makes_the_picture_refuses_it(name: bytes) -> None:
    data = bytearray(encoded(four_corners().quantize(8), "PNG"))
    start = data.index(name)
    end = start + 4 + int.from_bytes(data[start - 4 : start])
    data[end] ^= 1
    with pytest.raises(NotAnImage, match=f"wrong checksum of {name.decode()}"):
        prepare_image(bytes(data))


def test_a_png_of_endless_chunks_is_refused() -> None:
    with pytest.raises(NotAnImage, match="chunks"):
        prepare_image(png_with(png_chunk(b"tEXt", b"") * MAX_CHUNKS))


def test_only_the_first_profile_is_looked_at() -> None:
    """Nine megabytes of them take a fiftieth of a second, and inflated, to a megabyte each, twenty."""
    profile = png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(MAX_PROFILE_BYTES)))
    png = png_with(profile * 9_000)
    assert essential_png(png).data.count(b"iCCP") == 1
    assert processor_seconds(lambda: essential_png(png)) < 2


def test_a_jpeg_of_endless_segments_is_refused_at_once() -> None:
    """Three milliseconds; to walk over them takes more than a second."""
    data = plain(64, 64)
    endless = data[:AFTER_SIGNATURE] + segment(0xE1, b"") * 2_500_000 + data[AFTER_SIGNATURE:]

    def refused() -> None:
        with pytest.raises(NotAnImage, match="segments"):
            prepare_image(endless)

    assert processor_seconds(refused) < 0.2


def test_a_png_without_side_data_is_not_taken_apart() -> None:
    data = encoded(four_corners(), "PNG")
    assert essential_png(data) == (data, None, False)
    assert (
        png_structure.SIGNATURE + png_chunk(b"IHDR", bytes(13))
        in essential_png(png_structure.SIGNATURE + png_chunk(b"IHDR", bytes(13)) + png_chunk(b"tEXt", b"")).data
    )


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


PHOTOSHOP = b"Photoshop 3.0\x00"
SIDE_SEGMENTS = {
    "Photoshop's block that ends in its name": segment(0xED, PHOTOSHOP + b"8BIM\x04\x04"),
    "Photoshop's block that promises more than there is": segment(
        0xED, PHOTOSHOP + b"8BIM\x03\xed\0\0\xff\xff\xff\xff"
    ),
    "Photoshop's block of nothing": segment(0xED, PHOTOSHOP + b"8BIM"),
    "a profile without its number": segment(0xE2, b"ICC_PROFILE\x00"),
    "a JFIF header that is cut off": segment(0xE0, b"JFIF\x00"),
    "an Adobe marker that is cut off": segment(0xEE, b"Adobe"),
    "an index of pictures that are not there": segment(0xE2, b"MPF\x00MM\x00\x2a\xff\xff\xff\xff"),
    "a comment": segment(0xFE, b"hello"),
    "XMP that says it is turned": segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + XMP_TURNED),
    "something private": segment(0xEB, bytes(60_000)),
    "fill bytes and a comment": b"\xff\xff" + segment(0xFE, b"hello"),
}


@pytest.mark.parametrize("side_data", SIDE_SEGMENTS.values(), ids=SIDE_SEGMENTS)
@pytest.mark.parametrize("progressive", [False, True])
def test_a_side_segment_of_a_jpeg_refuses_and_turns_nothing(side_data: bytes, progressive: bool) -> None:
    data = encoded(four_corners(), "JPEG", quality=95, progressive=progressive)
    assert_upright(data[:AFTER_SIGNATURE] + side_data + data[AFTER_SIGNATURE:])


def test_a_broken_block_before_the_orientation_does_not_hide_it() -> None:
    data = with_orientation(four_corners(), 6, quality=95)
    broken = SIDE_SEGMENTS["Photoshop's block that ends in its name"]
    assert_upright(data[:AFTER_SIGNATURE] + broken + data[AFTER_SIGNATURE:])


def test_a_jpeg_without_side_data_is_not_copied() -> None:
    data = plain(64, 64)
    assert without_side_data(data) is data


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_an_orientation_that_stands_in_xmp_alone_turns_nothing(image_format: str) -> None:
    options = {"lossless": True} if image_format == "WEBP" else {"quality": 95}
    image = four_corners()
    if image_format == "HEIF":  # its writer would turn the pixels by what XMP says
        data = encoded(image, image_format, xmp=XMP_TURNED.replace(b"6", b"1"), **options).replace(
            b'Orientation="1"', b'Orientation="6"'
        )
    else:
        data = encoded(image, image_format, xmp=XMP_TURNED, **options)
    assert b'Orientation="6"' in data or image_format == "PNG"
    assert_upright(data)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_an_exif_block_that_says_nothing_of_the_orientation_does_not_let_xmp_speak(image_format: str) -> None:
    exif = Image.Exif()
    exif[ExifTag.Make] = "camera"
    options = {"lossless": True} if image_format == "WEBP" else {"quality": 95}
    assert_upright(encoded(four_corners(), image_format, xmp=XMP_TURNED, exif=exif.tobytes(), **options))


def test_exif_is_believed_where_xmp_contradicts_it() -> None:
    assert_upright(with_orientation(four_corners(), 8, quality=95, xmp=XMP_TURNED))


def test_the_reason_for_all_this_is_still_there() -> None:
    """Pillow's own reading of the orientation; if it changes, ``services/images/shrinking.py`` can be simpler."""
    with Image.open(io.BytesIO(encoded(four_corners(), "JPEG", xmp=XMP_TURNED))) as picture:
        assert picture.getexif().get(ExifTag.Orientation) == 6
