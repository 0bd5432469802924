"""Colours arrive as they were meant, whatever the profile that says so is called."""

import io
from collections.abc import Callable

import pytest
from PIL import Image, ImageCms

from services.images import colours
from services.images.colours import CodePoints, in_srgb, profile_of
from services.images.processor import load_rgb
from tests.support.images import encoded, png_chunk

RED = (218, 0, 26)
RED_IN_P3 = (200, 40, 40)
"""The same red by the numbers of Display P3."""
GREY = (55, 55, 55)
"""A third of the way from black to white for the eye, when it is linear light."""
GREY_OF_LINEAR = (128, 128, 128)

CLOSE_LEVELS = 6
"""What JPEG's and HEIC's arithmetic with brightness and colour may change in a flat colour."""

DISPLAY_P3, SRGB_PRIMARIES, BT2020 = 12, 1, 9
SRGB_CURVE, LINEAR, PQ, HLG, UNSPECIFIED = 13, 8, 16, 18, 2

P3 = CodePoints(DISPLAY_P3, SRGB_CURVE)
LINEAR_SRGB = CodePoints(SRGB_PRIMARIES, LINEAR)


def flat(colour: tuple[int, int, int]) -> Image.Image:
    return Image.new("RGB", (64, 64), colour)


def named(profile: bytes | None, name: str) -> bytes:
    """The profile with a description (ICC.1:2001-04 section 6.5.17)."""
    assert profile is not None
    text = name.encode() + b"\0"
    body = b"desc\0\0\0\0" + len(text).to_bytes(4) + text + bytes(78)
    tags = int.from_bytes(profile[128:132])
    table, rest = profile[132 : 132 + 12 * tags], profile[132 + 12 * tags :]
    entries = b""
    for at in range(0, len(table), 12):
        offset = int.from_bytes(table[at + 4 : at + 8]) + 12
        entries += table[at : at + 4] + offset.to_bytes(4) + table[at + 8 : at + 12]
    end = 132 + len(entries) + 12 + len(rest)
    entries += b"desc" + end.to_bytes(4) + len(body).to_bytes(4)
    whole = profile[4:128] + (tags + 1).to_bytes(4) + entries + rest + body
    return (len(whole) + 4).to_bytes(4) + whole


def assert_close(image: Image.Image, expected: tuple[int, int, int]) -> None:
    found = image.getpixel((image.width // 2, image.height // 2))
    assert isinstance(found, tuple)
    assert all(abs(a - b) <= CLOSE_LEVELS for a, b in zip(found, expected, strict=True)), f"{found}, not {expected}"


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
@pytest.mark.parametrize(
    ("profile", "stored", "seen"),
    [
        (named(profile_of(P3), "Display P3 Gamut with sRGB Transfer"), RED_IN_P3, RED),
        (named(profile_of(LINEAR_SRGB), "Linear sRGB"), GREY, GREY_OF_LINEAR),
    ],
    ids=["Display P3", "linear"],
)
def test_a_profile_is_judged_by_its_primaries_and_curve_and_not_by_its_name(
    image_format: str, profile: bytes, stored: tuple[int, int, int], seen: tuple[int, int, int]
) -> None:
    assert "sRGB" in (ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.profile_description or "")
    options = {"lossless": True} if image_format == "WEBP" else {"quality": 95}
    assert_close(load_rgb(encoded(flat(stored), image_format, icc_profile=profile, **options), 64), seen)


@pytest.mark.parametrize(
    "profile",
    [
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        named(
            colours._matrix_profile(colours._COLORANTS[1], [colours._srgb_light(n / 4095) for n in range(4096)]), "c2"
        ),
    ],
    ids=["Little CMS's", "one without the name"],
)
def test_what_is_srgb_is_left_as_it_is(profile: bytes) -> None:
    image = Image.effect_noise((64, 64), 90).convert("RGB")
    assert in_srgb(image, profile) is image


def avif(colour: tuple[int, int, int], points: CodePoints) -> bytes:
    """Pillow writes sRGB's code points; these are put in their place."""
    data = encoded(flat(colour), "AVIF", quality=95)
    before = b"nclx" + bytes([0, SRGB_PRIMARIES, 0, SRGB_CURVE])
    assert data.count(before) == 1
    return data.replace(before, b"nclx" + bytes([0, points.primaries, 0, points.transfer]))


def heic(colour: tuple[int, int, int], points: CodePoints) -> bytes:
    return encoded(
        flat(colour),
        "HEIF",
        quality=95,
        color_primaries=points.primaries,
        transfer_characteristics=points.transfer,
        matrix_coefficients=6,
        full_range_flag=1,
    )


def png(colour: tuple[int, int, int], points: CodePoints) -> bytes:
    data = encoded(flat(colour), "PNG")
    after_header = 33
    return data[:after_header] + png_chunk(b"cICP", bytes([*points, 0, 1])) + data[after_header:]


WRITERS = pytest.mark.parametrize("write", [avif, heic, png])
Write = Callable[[tuple[int, int, int], CodePoints], bytes]


@WRITERS
@pytest.mark.parametrize(
    ("points", "stored", "seen"),
    [
        (P3, RED_IN_P3, RED),
        (LINEAR_SRGB, GREY, GREY_OF_LINEAR),
        (CodePoints(SRGB_PRIMARIES, SRGB_CURVE), RED_IN_P3, RED_IN_P3),
        (CodePoints(UNSPECIFIED, UNSPECIFIED), RED_IN_P3, RED_IN_P3),
        (CodePoints(SRGB_PRIMARIES, 1), RED_IN_P3, RED_IN_P3),
    ],
    ids=["Display P3", "linear", "sRGB", "unspecified", "television"],
)
def test_colours_given_by_code_points_alone_are_converted(
    write: Write, points: CodePoints, stored: tuple[int, int, int], seen: tuple[int, int, int]
) -> None:
    assert_close(load_rgb(write(stored, points), 64), seen)


def level(write: Write, signal: int, transfer: int) -> int:
    seen = load_rgb(write((signal,) * 3, CodePoints(BT2020, transfer)), 64).getpixel((32, 32))
    assert isinstance(seen, tuple)
    return seen[1]


PAPER_WHITE = {PQ: round(0.58 * 255), HLG: round(0.75 * 255)}
"""ITU-R BT.2408 table 1: the signal of diffuse white."""
SKIN = {PQ: round(0.44 * 255), HLG: round(0.50 * 255)}
"""ITU-R BT.2408 table 2: about the signal of light skin (26 nits of 100 in SDR)."""


@WRITERS
@pytest.mark.parametrize("transfer", [PQ, HLG], ids=["PQ", "HLG"])
def test_hdr_keeps_faces_as_bright_as_they_are_and_lamps_apart_from_paper(write: Write, transfer: int) -> None:
    black, skin, paper, lamp, brightest = (
        level(write, signal, transfer)
        for signal in (0, SKIN[transfer], PAPER_WHITE[transfer], (PAPER_WHITE[transfer] + 255) // 2 - 20, 255)
    )
    assert black <= CLOSE_LEVELS
    assert 110 <= skin <= 190
    assert 215 <= paper < lamp <= brightest
    assert brightest >= 250


def test_a_profile_beside_code_points_is_the_one_that_counts() -> None:
    profile = named(profile_of(P3), "P3")
    data = encoded(flat(RED_IN_P3), "AVIF", quality=95, icc_profile=profile)
    assert_close(load_rgb(data, 64), RED)


def test_the_code_points_of_a_transparent_pictures_alpha_are_not_its_colours() -> None:
    with_alpha = flat(RED_IN_P3).convert("RGBA")
    data = encoded(with_alpha, "AVIF", quality=95)
    before = b"nclx" + bytes([0, SRGB_PRIMARIES, 0, SRGB_CURVE])
    data = data.replace(before, b"nclx" + bytes([0, DISPLAY_P3, 0, SRGB_CURVE]), 1)
    assert_close(load_rgb(data, 64), RED)
