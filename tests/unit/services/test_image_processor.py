"""Every kind of picture comes out small, upright, RGB and bare; everything else is refused before it costs anything."""

import contextlib
import io
import re
import struct
import subprocess
import sys
import threading
import tracemalloc
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pillow_heif
import pytest
from PIL import Image, ImageFile

from models.failures import ImageTooLarge, IncompletePicture, NotAnImage
from services.images import processor as image_processor
from services.images.jpeg_structure import MAX_SCANS
from services.images.limits import LARGE_DECODE_BYTES, MAX_DECODE_BYTES, DecodeLimits
from services.images.opening import FORMATS, open_picture, peak_decode_bytes
from services.images.processor import (
    CONCURRENT_PICTURES,
    MAX_SIDE_PX,
    PATIENCE_SECONDS,
    PreparedImage,
    load_rgb,
    prepare_image,
)
from services.images.shrinking import FOR_MEASURING, shrunken_rgb
from tests.support.images import (
    BLACK,
    BLUE,
    RED,
    UPRIGHT_CORNERS,
    WHITE,
    corners,
    encoded,
    four_corners,
    gif_announcing,
    gif_with_frames,
    heif_family_announcing,
    jpeg_announcing,
    jpeg_with_scans,
    plain,
    png_chunk,
    png_file,
    swapped_primaries_profile,
    webp_announcing,
    with_orientation,
)
from tests.support.lossless_jpeg import lossless_jpeg
from tests.support.processor_time import processor_seconds

PICTURES = Path(__file__).parents[2] / "data" / "pictures"
REPOSITORY = Path(__file__).parents[3]

COLOUR_TOLERANCE = 14
"""Of 255 per channel: what lossy formats may change in a flat colour."""


def opened(prepared: PreparedImage) -> Image.Image:
    """The prepared picture, decoded; it must be a JPEG of the size it says."""
    image = Image.open(io.BytesIO(prepared.jpeg))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (prepared.width, prepared.height))
    return image


def is_close(left: tuple[int, ...], right: tuple[int, ...]) -> bool:
    return all(abs(a - b) <= COLOUR_TOLERANCE for a, b in zip(left, right, strict=True))


def assert_corners(image: Image.Image, expected: tuple[tuple[int, int, int], ...]) -> None:
    found = corners(image)
    assert all(map(is_close, found, expected)), f"{found} instead of {expected}"


def palette_with_transparent_corner() -> bytes:
    image = four_corners().quantize(8)
    return encoded(image, "PNG", transparency=image.getpixel((5, 5)))


def grey_ramp_16_bit() -> bytes:
    image = Image.new("I;16", (80, 40), 0x8000)
    image.paste(0xFFFF, (40, 0, 80, 40))
    return encoded(image, "PNG")


def with_a_transparent_level(bit_depth: int, *levels: int, channels: int = 1) -> bytes:
    """A grey or coloured PNG with a level in each quarter, of which the first one is transparent."""

    def rows(left: int, right: int) -> bytes:
        bits = "".join(f"{level:0{bit_depth}b}" * channels * 40 for level in (left, right))
        return (b"\0" + int(bits, 2).to_bytes(len(bits) // 8)) * 20

    pixels = zlib.compress(rows(*levels[:2]) + rows(*levels[2:]))
    png = png_file(80, 40, pixels, bit_depth=bit_depth, colour_type=0 if channels == 1 else 2)
    return png.replace(
        png_chunk(b"IDAT", pixels),
        png_chunk(b"tRNS", struct.pack(">H", levels[0]) * channels) + png_chunk(b"IDAT", pixels),
    )


def adobe_inverted_cmyk() -> bytes:
    """Photoshop's CMYK: Pillow writes the Adobe marker and stores the inks inverted, as Photoshop does."""
    jpeg = encoded(four_corners().convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in jpeg
    return jpeg


def half_transparent(mode: str) -> Image.Image:
    image = four_corners().convert(mode)
    image.putalpha(Image.new("L", image.size, 0))
    return image


def animation(first: Image.Image, image_format: str, **options: object) -> bytes:
    others = [Image.new("RGB", first.size, colour) for colour in (BLACK, BLUE)]
    return encoded(first, image_format, save_all=True, append_images=others, duration=50, **options)


def animation_on_a_larger_canvas(with_alpha: bool) -> bytes:
    """WebP: the first frame is the left upper quarter of the canvas."""
    data = encoded(
        Image.new("RGB", (80, 40), RED),
        "WEBP",
        save_all=True,
        append_images=[Image.new("RGB", (80, 40))],
        lossless=True,
    )
    quarter = encoded(Image.new("RGB", (40, 20), RED), "WEBP", lossless=True)
    first, end = (found.start() for found in re.finditer(b"ANMF", data))
    frame_header = data[first + 8 : first + 14] + bytes([39, 0, 0, 19, 0, 0]) + data[first + 20 : first + 24]
    frame = frame_header + quarter[12:]
    body = bytearray(data[8:first] + b"ANMF" + struct.pack("<I", len(frame)) + frame + data[end:])
    flags = body.index(b"VP8X") + 8
    body[flags] = body[flags] | 0x10 if with_alpha else body[flags] & ~0x10
    return b"RIFF" + struct.pack("<I", len(body)) + bytes(body)


GREYS = tuple((round(0.299 * r + 0.587 * g + 0.114 * b),) * 3 for r, g, b in UPRIGHT_CORNERS)
WITHOUT_RED = (WHITE, *UPRIGHT_CORNERS[1:])

ACCEPTED: dict[str, tuple[Callable[[], bytes], tuple[tuple[int, ...], ...]]] = {
    "JPEG": (lambda: encoded(four_corners(), "JPEG", quality=95), UPRIGHT_CORNERS),
    "progressive JPEG": (lambda: encoded(four_corners(), "JPEG", quality=95, progressive=True), UPRIGHT_CORNERS),
    "grey JPEG": (lambda: encoded(four_corners().convert("L"), "JPEG"), GREYS),
    "CMYK JPEG": (adobe_inverted_cmyk, UPRIGHT_CORNERS),
    "two JPEGs in one (MPO)": (lambda: animation(four_corners(), "MPO", quality=95), UPRIGHT_CORNERS),
    "PNG": (lambda: encoded(four_corners(), "PNG"), UPRIGHT_CORNERS),
    "interlaced palette PNG": (lambda: encoded(four_corners().quantize(8), "PNG"), UPRIGHT_CORNERS),
    "palette PNG with a transparent colour": (palette_with_transparent_corner, WITHOUT_RED),
    "RGB PNG with a transparent colour": (lambda: encoded(four_corners(), "PNG", transparency=RED), WITHOUT_RED),
    "2-bit PNG with a transparent grey": (
        lambda: with_a_transparent_level(2, 1, 0, 2, 3),
        (WHITE, BLACK, (170,) * 3, WHITE),
    ),
    "4-bit PNG with a transparent grey": (
        lambda: with_a_transparent_level(4, 5, 0, 10, 15),
        (WHITE, BLACK, (170,) * 3, WHITE),
    ),
    "16-bit PNG with a transparent grey": (
        lambda: with_a_transparent_level(16, 0x1234, 0x3456, 0x8000, 0xFFFF),
        (WHITE, (0x34,) * 3, (128,) * 3, WHITE),
    ),
    "16-bit PNG with a transparent colour": (
        lambda: with_a_transparent_level(16, 0x1234, 0x3456, 0x8000, 0xFFFF, channels=3),
        (WHITE, (0x34,) * 3, (128,) * 3, WHITE),
    ),
    "16-bit grey PNG": (grey_ramp_16_bit, ((128,) * 3, WHITE, (128,) * 3, WHITE)),
    "1-bit PNG": (
        lambda: encoded(four_corners().convert("L").point(lambda v: 255 * (v > 200)).convert("1"), "PNG"),
        (BLACK, BLACK, BLACK, WHITE),
    ),
    "grey PNG with alpha": (lambda: encoded(half_transparent("LA"), "PNG"), (WHITE,) * 4),
    "PNG with alpha": (lambda: encoded(half_transparent("RGBA"), "PNG"), (WHITE,) * 4),
    "animated PNG": (lambda: animation(four_corners(), "PNG"), UPRIGHT_CORNERS),
    "WebP": (lambda: encoded(four_corners(), "WEBP", quality=95), UPRIGHT_CORNERS),
    "lossless WebP": (lambda: encoded(four_corners(), "WEBP", lossless=True), UPRIGHT_CORNERS),
    "WebP with alpha": (lambda: encoded(half_transparent("RGBA"), "WEBP"), (WHITE,) * 4),
    "animated WebP": (lambda: animation(four_corners(), "WEBP", lossless=True), UPRIGHT_CORNERS),
    "animated WebP with a small first frame": (
        lambda: animation_on_a_larger_canvas(with_alpha=False),
        (RED, WHITE, WHITE, WHITE),
    ),
    "animated WebP with a small first frame and alpha": (
        lambda: animation_on_a_larger_canvas(with_alpha=True),
        (RED, WHITE, WHITE, WHITE),
    ),
    "lossless JPEG": (lambda: lossless_jpeg(four_corners()), UPRIGHT_CORNERS),
    "grey lossless JPEG": (lambda: lossless_jpeg(four_corners().convert("L")), GREYS),
    "AVIF": (lambda: encoded(four_corners(), "AVIF", quality=95), UPRIGHT_CORNERS),
    "AVIF with alpha": (lambda: encoded(half_transparent("RGBA"), "AVIF"), (WHITE,) * 4),
    "animated AVIF": (lambda: animation(four_corners(), "AVIF", quality=95), UPRIGHT_CORNERS),
    "HEIC": (lambda: encoded(four_corners(), "HEIF", quality=95), UPRIGHT_CORNERS),
    "HEIC with alpha": (lambda: encoded(half_transparent("RGBA"), "HEIF"), (WHITE,) * 4),
    "HEIC in tiles": (
        lambda: encoded(four_corners(400, 200), "HEIF", quality=90, tile_size=128),
        UPRIGHT_CORNERS,
    ),
    "GIF": (lambda: encoded(four_corners(), "GIF"), UPRIGHT_CORNERS),
    "animated GIF": (lambda: animation(four_corners(), "GIF"), UPRIGHT_CORNERS),
}


@pytest.mark.parametrize(("make", "expected"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_every_accepted_kind_comes_out_as_an_rgb_jpeg_of_the_first_frame_on_white(
    make: Callable[[], bytes], expected: tuple[tuple[int, int, int], ...]
) -> None:
    assert_corners(opened(prepare_image(make())), expected)


@pytest.mark.parametrize(("make", "expected"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_shrinking_changes_neither_the_colours_nor_the_transparency_of_any_kind(
    make: Callable[[], bytes], expected: tuple[tuple[int, int, int], ...]
) -> None:
    image = load_rgb(make(), 20)
    assert image.size == (20, 10)
    assert_corners(image, expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
@pytest.mark.parametrize("max_side_px", [1024, 60, 30])
def test_every_orientation_comes_out_upright_at_every_scale(
    orientation: int, image_format: str, max_side_px: int
) -> None:
    data = with_orientation(four_corners(160, 80), orientation, image_format, quality=95)
    image = opened(prepare_image(data, max_side_px))
    side = min(160, max_side_px)
    assert image.size == (side, side // 2)
    assert_corners(image, UPRIGHT_CORNERS)


def test_a_broken_exif_block_is_no_reason_to_refuse_a_good_picture() -> None:
    data = encoded(four_corners(), "JPEG", exif=b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff\x00\x01")
    assert_corners(opened(prepare_image(data)), UPRIGHT_CORNERS)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((4000, 3000), (1024, 768)),
        ((3000, 4000), (768, 1024)),
        ((1025, 1025), (1024, 1024)),
        ((1024, 1024), (1024, 1024)),
        ((1024, 1), (1024, 1)),
        ((640, 480), (640, 480)),
        ((1, 1), (1, 1)),
        ((3, 9000), (1, 1024)),
        ((9000, 1), (1024, 1)),
    ],
)
@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_the_longer_side_is_brought_to_the_limit_and_small_pictures_stay_as_they_are(
    size: tuple[int, int], expected: tuple[int, int], image_format: str
) -> None:
    prepared = prepare_image(plain(*size, image_format))
    assert (prepared.width, prepared.height) == expected
    assert opened(prepared).size == expected


@pytest.mark.parametrize("mode", ["RGBA", "P", "LA", "1"])
def test_a_picture_converted_in_bands_comes_out_like_one_converted_whole(mode: str) -> None:
    noise = Image.effect_noise((700, 501), 60)
    image = noise.convert("RGBA" if mode == "RGBA" else "L")
    if mode in {"RGBA", "LA"}:
        image.putalpha(noise.rotate(180))
    data = encoded(image.convert(mode), "PNG")
    with open_picture(data) as picture:
        in_bands = shrunken_rgb(picture, 100, FOR_MEASURING, band_bytes=1)  # the narrowest bands there can be
    assert in_bands.tobytes() == load_rgb(data, 100).tobytes()


def test_metadata_does_not_reach_the_result() -> None:
    exif = Image.Exif()
    exif[0x010E] = "GPS SECRET"
    data = encoded(four_corners(), "JPEG", exif=exif, comment=b"COMMENT SECRET", xmp=b"<x>XMP SECRET</x>", dpi=(72, 72))
    assert data.count(b"SECRET") == 3
    prepared = prepare_image(data)
    assert b"SECRET" not in prepared.jpeg
    assert not {"exif", "xmp", "comment", "icc_profile"} & set(opened(prepared).info)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_colours_of_another_profile_are_converted_to_srgb(image_format: str) -> None:
    """In the profile red and green are swapped, so ignoring it cannot go unnoticed."""
    data = encoded(four_corners(), image_format, quality=95, icc_profile=swapped_primaries_profile())
    red, green, *_ = corners(opened(prepare_image(data)))
    assert red[1] > 150 > red[0]
    assert green[0] > 120 > green[1]


@pytest.mark.parametrize(
    "profile",
    [b"no profile", swapped_primaries_profile()[:200], swapped_primaries_profile().replace(b"RGB ", b"CMYK")],
    ids=["garbage", "cut off", "for other colours"],
)
def test_a_profile_that_does_not_fit_is_ignored(profile: bytes) -> None:
    data = encoded(four_corners(), "JPEG", quality=95, icc_profile=profile)
    assert_corners(opened(prepare_image(data)), UPRIGHT_CORNERS)


NOT_IMAGES = {
    "nothing": b"",
    "text": b"hello",
    "HTML": b"<!DOCTYPE html><html><body>Not found</body></html>",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"><image href="file:///etc/passwd"/></svg>',
    "PDF": b"%PDF-1.7\n%%EOF",
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "TIFF": encoded(four_corners(), "TIFF"),
    "BMP": encoded(four_corners(), "BMP"),
    "JPEG 2000": encoded(four_corners(), "JPEG2000"),
    "ICO": encoded(four_corners(), "ICO"),
    "PPM": encoded(four_corners(), "PPM"),
    "JPEG magic alone": b"\xff\xd8\xff",
    "PNG magic alone": b"\x89PNG\r\n\x1a\n",
    "PNG without data": png_file(10, 10, b""),
    "PNG with broken data": png_file(10, 10, b"not zlib"),
    "PNG with too little data": png_file(100, 100, zlib.compress(bytes(50))),
    "WebP without a picture": webp_announcing(10, 10),
    "GIF without pixels": gif_announcing(10, 10),
    "HEIC of another size than it says": heif_family_announcing(10, 10, "HEIF"),
    "empty AVIF": b"\x00\x00\x00\x10ftypavif\x00\x00\x00\x00",
    "empty HEIC": b"\x00\x00\x00\x10ftypheic\x00\x00\x00\x00",
}


@pytest.mark.parametrize("data", NOT_IMAGES.values(), ids=NOT_IMAGES.keys())
def test_what_is_no_whole_picture_of_an_accepted_format_is_refused(data: bytes) -> None:
    with pytest.raises(NotAnImage):
        prepare_image(data)


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
def test_a_truncated_file_is_refused_and_not_filled_with_grey(image_format: str, kept: float) -> None:
    noise = Image.effect_noise((200, 150), 80).convert("RGB")
    data = encoded(noise, image_format)
    with pytest.raises(IncompletePicture):
        prepare_image(data[: int(len(data) * kept)])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@pytest.mark.parametrize("image_format", FORMATS)
def test_flipped_bytes_end_in_a_picture_or_a_refusal_and_in_nothing_else(image_format: str) -> None:
    data = encoded(four_corners(), image_format)
    step = max(1, len(data) // 150)
    for position in range(0, len(data), step):
        broken = bytearray(data)
        broken[position] ^= 0xFF
        try:
            prepare_image(bytes(broken), 32)
        except (NotAnImage, IncompletePicture, ImageTooLarge):
            continue


BOMBS = {
    "PNG of 900 megapixels in a hundred bytes": png_file(30_000, 30_000, b""),
    "PNG of 900 megapixels that unpacks": png_file(30_000, 30_000, zlib.compress(bytes(10_000_000))),
    "PNG of the greatest size there is": png_file(2**31 - 1, 2**31 - 1, b""),
    "PNG just above the limit": png_file(8_000, 8_001, b""),
    "JPEG": jpeg_announcing(65_000, 65_000),
    "GIF whose frame is larger than its screen": gif_announcing(65_000, 65_000),
    "WebP": webp_announcing(16_000, 16_000),
    "WebP beyond its own format": webp_announcing(2**24, 2**24),
    "AVIF": heif_family_announcing(16_000, 16_000, "AVIF"),
    "HEIC": heif_family_announcing(20_000, 20_000, "HEIF"),
    "HEIC just above the limit": heif_family_announcing(8_000, 8_001, "HEIF"),
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS.keys())
@pytest.mark.filterwarnings("error")  # Pillow's own warning about large pictures must not come through either
def test_a_picture_that_announces_too_many_pixels_is_refused_before_it_is_decoded(data: bytes) -> None:
    def refused() -> None:
        with pytest.raises(ImageTooLarge) as too_large:
            prepare_image(data)
        assert too_large.value.unit == "pixels"

    tracemalloc.start()
    try:
        refused()
        assert tracemalloc.get_traced_memory()[1] < 1_000_000 + 3 * len(data)
    finally:
        tracemalloc.stop()
    # A tenth of a millisecond. Where not even Pillow refuses it, decoding the AVIF takes two seconds.
    assert processor_seconds(refused) < 0.1


def test_the_limit_itself_is_still_accepted_and_one_row_more_is_not() -> None:
    limits = DecodeLimits(max_pixels=5_000)
    assert prepare_image(plain(100, 50, "PNG"), limits=limits).width == 100
    with pytest.raises(ImageTooLarge) as too_large:
        prepare_image(plain(100, 51, "PNG"), limits=limits)
    assert (too_large.value.limit, too_large.value.unit) == (5_000, "pixels")


def test_a_phones_48_megapixel_photo_passes() -> None:
    prepared = prepare_image(plain(8064, 6048))
    assert (prepared.width, prepared.height) == (1024, 768)


def test_a_format_whose_decoder_needs_more_memory_has_a_lower_limit() -> None:
    limits = DecodeLimits(max_decode_bytes=1_000_000)
    assert prepare_image(plain(400, 400, "PNG"), limits=limits).width == 400
    with pytest.raises(ImageTooLarge) as too_large:
        prepare_image(plain(400, 400, "AVIF"), limits=limits)
    assert too_large.value.limit < 400 * 400


QUICKLY = {"preset": "ultrafast"}
"""x265 searches less for a small file: a third of the time, and decoding takes the same memory within 4 MB of 160."""


def heic(bits: int, chroma: int, mode: str, tile_size: int) -> bytes:
    """4000 by 2000 pixels of one colour."""
    channel = bytes([90]) if bits == 8 else bytes([0, 90])
    file = io.BytesIO()
    pillow_heif.encode(
        mode if bits == 8 else f"{mode};16",
        (4000, 2000),
        channel * len(mode) * 8_000_000,
        file,
        chroma=chroma,
        quality=50,
        tile_size=tile_size,
        enc_params=QUICKLY,
    )
    return file.getvalue()


def even_lossless_jpeg(width: int, height: int) -> bytes:
    """Grey as the decoder begins with, so that every difference is none, whose code is zeros."""
    small = lossless_jpeg(Image.new("RGB", (8, 8), (128, 128, 128)))
    scan = small.index(b"\xff\xda")
    head = small[: scan + 2 + int.from_bytes(small[scan + 2 : scan + 4])]
    bits_per_pixel = 3 * 5
    pixels = bytes(width * height * bits_per_pixel // 8)
    return head.replace(struct.pack(">HH", 8, 8), struct.pack(">HH", height, width)) + pixels + b"\xff\xd9"


MEASURE_PEAK = """
import sys
from pathlib import Path
from services.images.processor import prepare_image

def peak_bytes():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

data = Path(sys.argv[1]).read_bytes()
prepare_image(Path(sys.argv[2]).read_bytes())  # a small one first: whatever is loaded once is not counted
before = peak_bytes()
prepare_image(data)
print(peak_bytes() - before)
"""


COSTLY: dict[str, Callable[[], bytes]] = {
    "AVIF, 10 bits, full chroma": lambda: PICTURES.joinpath("10-bit-444.avif").read_bytes(),
    "AVIF, 10 bits, full chroma and alpha": lambda: PICTURES.joinpath("10-bit-444-alpha.avif").read_bytes(),
    **{
        f"HEIC, {bits} bits, chroma {chroma}, {mode}, {tiling}": partial(heic, bits, chroma, mode, tile_size)
        for bits in (8, 10)
        for chroma in (420, 422, 444)
        for mode, tiling, tile_size in (("RGB", "in tiles", 512), ("RGBA", "whole", 0))
    },
    "lossless JPEG": partial(even_lossless_jpeg, 4000, 2000),
}
"""What takes more memory for each pixel than others of its format, or less than its worst."""


@pytest.mark.heavy
@pytest.mark.parametrize("make", COSTLY.values(), ids=COSTLY)
def test_costly_kinds_take_no_more_memory_than_estimated_either(make: Callable[[], bytes], tmp_path: Path) -> None:
    large = make()
    assert_stays_within_its_estimate(large, plain(64, 64, "AVIF" if b"ftypavif" in large[:16] else "HEIF"), tmp_path)


def test_a_picture_of_the_most_costly_kind_that_would_not_fit_is_refused() -> None:
    """47 megapixels of AVIF in 10 bits with full chroma and alpha took 785 MB."""
    honest = PICTURES.joinpath("10-bit-444-alpha.avif").read_bytes()
    announced = honest.replace(struct.pack(">II", 4000, 2000), struct.pack(">II", 8000, 5875))
    with pytest.raises(ImageTooLarge) as too_large:
        prepare_image(announced)
    assert too_large.value.limit * 17 < MAX_DECODE_BYTES


def test_what_an_avif_says_of_its_depth_and_chroma_is_not_relied_on() -> None:
    """libavif goes by the data: a file that announces 8 bits and quarter chroma is decoded with all that is in it."""
    honest = PICTURES.joinpath("10-bit-444-alpha.avif").read_bytes()
    lying = bytearray(honest)
    for found in re.finditer(b"av1C", honest):
        lying[found.end() + 2] = lying[found.end() + 2] & ~0x7C | 0x0C
    lying_data = re.sub(
        rb"(?<=pixi....)(?:\x03\n\n\n|\x01\n)", lambda ten: ten[0].replace(b"\n", b"\x08"), bytes(lying)
    )
    assert lying_data != honest
    for data in (honest, lying_data):
        assert prepare_image(data).width == 1024
        with open_picture(data) as picture:
            assert peak_decode_bytes(picture) == 17.5 * 8_000_000


@pytest.mark.parametrize(
    ("image_format", "mode", "options"),
    [
        ("JPEG", "RGB", {}),
        ("JPEG", "RGB", {"progressive": True, "subsampling": "4:4:4"}),
        ("PNG", "RGB", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "P", {}),
        ("PNG", "1", {}),
        ("GIF", "P", {}),
        ("WEBP", "RGB", {"method": 0}),
        ("WEBP", "RGBA", {"method": 0}),
        ("WEBP", "RGB", {"method": 0, "lossless": True}),
        ("WEBP", "RGBA", {"method": 0, "lossless": True}),
        ("AVIF", "RGB", {"speed": 10, "subsampling": "4:4:4"}),
        ("HEIF", "RGB", {"enc_params": QUICKLY}),
        ("HEIF", "RGBA", {"enc_params": QUICKLY}),
    ],
)
def test_decoding_takes_no_more_memory_than_estimated_from_the_header(
    image_format: str, mode: str, options: dict[str, Any], tmp_path: Path
) -> None:
    large, small = (encoded(Image.new(mode, size), image_format, **options) for size in ((4000, 2000), (64, 64)))
    assert_stays_within_its_estimate(large, small, tmp_path)


def assert_stays_within_its_estimate(large: bytes, small: bytes, tmp_path: Path) -> None:
    """Measured in a process of its own, as a process only knows its peak since it started."""
    with open_picture(large) as picture:
        estimate = peak_decode_bytes(picture)
    (tmp_path / "large").write_bytes(large)
    (tmp_path / "small").write_bytes(small)
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE_PEAK, str(tmp_path / "large"), str(tmp_path / "small")],
        check=True,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
    )
    bands_and_result = 24_000_000  # pieces of 4 MiB in several forms, and a result of 1 megapixel
    assert int(measured.stdout) < estimate + bands_and_result


def test_a_gif_of_600_000_frames_costs_no_more_than_its_first() -> None:
    """Less than a millisecond; only to count them takes nearly a second."""
    gif = gif_with_frames(four_corners(), 600_000)
    assert_corners(opened(prepare_image(gif)), UPRIGHT_CORNERS)
    assert processor_seconds(lambda: prepare_image(gif)) < 0.1


def test_a_progressive_jpeg_of_endless_scans_is_refused() -> None:
    with pytest.raises(NotAnImage, match="scans"):
        prepare_image(jpeg_with_scans(MAX_SCANS))


@pytest.mark.parametrize(
    "data",
    [
        jpeg_with_scans(20),
        plain(64, 64, progressive=True, exif=b"Exif\x00\x00" + b"\xff\xda\x00\x02" * 1000),
        plain(64, 64, progressive=True) + b"\xff\xda\x00\x02" * 50_000,
    ],
    ids=["a few scans", "a thumbnail inside", "a film behind"],
)
def test_only_scans_of_the_picture_itself_count(data: bytes) -> None:
    assert prepare_image(data).width == 64


def in_threads(count: int, work: Callable[[], object]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture
def decoding(monkeypatch: pytest.MonkeyPatch) -> "Decoding":
    """Watches the real decoding from inside its slot."""
    watch = Decoding()

    def watched(picture: ImageFile.ImageFile, *how: Any, **more: Any) -> Image.Image:
        with watch:
            return shrunken_rgb(picture, *how, **more)

    monkeypatch.setattr(image_processor, "shrunken_rgb", watched)
    return watch


class Decoding:
    """Counts who is decoding at the same time; everyone waits a moment for a partner."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.most_at_once = 0
        self.partner = threading.Barrier(CONCURRENT_PICTURES)
        self.patience_seconds = 10.0

    def __enter__(self) -> None:
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        with contextlib.suppress(threading.BrokenBarrierError):
            self.partner.wait(self.patience_seconds)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1


def test_as_many_pictures_are_decoded_at_once_as_there_are_slots_and_never_more(decoding: Decoding) -> None:
    data = plain(64, 64)
    in_threads(6 * CONCURRENT_PICTURES, lambda: prepare_image(data))
    assert decoding.most_at_once == CONCURRENT_PICTURES
    assert not decoding.partner.broken


def large_webp() -> bytes:
    data = encoded(Image.new("RGBA", (4_200, 4_100)), "WEBP", lossless=True, method=0)
    with open_picture(data) as picture:
        assert peak_decode_bytes(picture) > LARGE_DECODE_BYTES
    return data


@pytest.mark.parametrize(
    "make", [large_webp, lambda: heif_family_announcing(10, 10, "AVIF")], ids=["large", "may hold more than it says"]
)
def test_two_large_pictures_are_never_decoded_at_once(make: Callable[[], bytes], decoding: Decoding) -> None:
    decoding.patience_seconds = 3 * PATIENCE_SECONDS  # nobody comes; the other thread could by then
    data = make()
    in_threads(2, lambda: prepare_image(data))
    assert decoding.most_at_once == 1


def test_a_large_picture_leaves_the_second_slot_to_small_ones(decoding: Decoding) -> None:
    limits = DecodeLimits(large_decode_bytes=10_000)
    large, small = plain(100, 100, "PNG"), plain(8, 8, "PNG")
    turns = iter([large, small])
    in_threads(2, lambda: prepare_image(next(turns), limits=limits))
    assert decoding.most_at_once == 2


def test_a_refused_picture_gives_its_slot_back() -> None:
    broken = encoded(Image.effect_noise((100, 100), 50), "PNG")[:2_000]
    for _ in range(3 * CONCURRENT_PICTURES):
        with pytest.raises(IncompletePicture):
            prepare_image(broken)
    assert prepare_image(plain(8, 8)).width == 8


def test_a_thumbnail_inside_a_heic_is_not_taken_for_the_picture() -> None:
    photograph = Image.effect_noise((1024, 768), 60).convert("RGB")
    without, with_thumbnail = (
        encoded(photograph, "HEIF", quality=60, thumbnails=sizes, enc_params=QUICKLY) for sizes in ([], [512])
    )
    assert len(with_thumbnail) > len(without) + 1_000
    for side_px in (512, 300):
        assert load_rgb(with_thumbnail, side_px).tobytes() == load_rgb(without, side_px).tobytes()


def test_a_lossless_jpeg_of_more_bits_than_can_be_shown_is_refused() -> None:
    data = lossless_jpeg(four_corners())
    frame = data.index(b"\xff\xc3")
    with pytest.raises(NotAnImage):
        prepare_image(data[: frame + 4] + bytes([16]) + data[frame + 5 :])


def test_a_picture_for_size_recommendation_takes_the_same_way() -> None:
    image = load_rgb(with_orientation(four_corners(160, 80), 6, quality=95), 80)
    assert (image.mode, image.size) == ("RGB", (80, 40))
    assert_corners(image, UPRIGHT_CORNERS)
    with pytest.raises(ImageTooLarge):
        load_rgb(BOMBS["JPEG"], 80)


def test_the_side_is_1024_as_the_requirements_say() -> None:
    assert MAX_SIDE_PX == 1024
