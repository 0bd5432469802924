"""Bars around a photograph are told from the photograph."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps

from services.images.processor import load_rgb
from size_rec.photo.bars import MAX_ROUNDS, SEAM_PX, content_box
from size_rec.photo.picture import MEASURED_SIDE_PX, prepare_picture
from size_rec.vocabulary import PictureRefused, Refusal
from tests.support.size_photos import as_bytes, as_jpeg, decoded, measure, truth

PHOTOS = [name for name, row in truth().items() if row["kind"] == "normal"][::40]
BLACK, WHITE, BLUE = (0, 0, 0), (255, 255, 255), (40, 60, 200)

thicknesses = st.tuples(*[st.integers(0, 35), st.integers(0, 120)] * 2)
colours = st.tuples(*[st.integers(0, 255)] * 3)


def speckled(width: int = 90, height: int = 120) -> Image.Image:
    pixels = np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def whole(image: Image.Image) -> tuple[int, int, int, int]:
    return 0, 0, *image.size


@given(thicknesses, colours)
@settings(max_examples=60, deadline=None)
def test_bars_of_any_colour_and_thickness_are_found_to_the_pixel(
    thickness: tuple[int, int, int, int], colour: tuple[int, int, int]
) -> None:
    barred = ImageOps.expand(speckled(), thickness, fill=colour)
    left, top, _, _ = thickness
    assert content_box(barred) == (left, top, left + 90, top + 120)


def test_bars_within_bars_and_of_different_colours_are_found() -> None:
    inner = ImageOps.expand(speckled(), (20, 0, 20, 0), fill=WHITE)
    outer = ImageOps.expand(ImageOps.expand(inner, (0, 30, 0, 0), fill=BLUE), (5, 5, 5, 40), fill=BLACK)
    assert content_box(outer) == (25, 35, 115, 155)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_pictures_without_three_colours_have_bars_too(mode: str) -> None:
    assert content_box(ImageOps.expand(speckled(), (0, 40), fill=BLACK).convert(mode)) == (0, 40, 90, 160)


def test_a_photo_that_fills_the_picture_is_left_whole() -> None:
    assert content_box(speckled()) == whole(speckled())


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (300, 2), (400, 300)])
def test_a_picture_of_one_colour_is_left_whole(size: tuple[int, int]) -> None:
    plain = Image.new("RGB", size, BLUE)
    assert content_box(plain) == whole(plain)


@pytest.mark.parametrize("above_soles_px", [2, 5, 10])
def test_shoes_before_the_edge_of_an_even_floor_stay(above_soles_px: int) -> None:
    picture = Image.new("RGB", (300, 400), (250, 250, 250))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 360 - above_soles_px, 299, 399), fill=(215, 212, 208))
    for shoe in (130, 160):
        draw.rectangle((shoe, 300, shoe + 15, 360), fill=BLUE)
    assert content_box(picture) == whole(picture)


def test_a_wall_that_shades_off_is_no_bar() -> None:
    rows = np.arange(200) // 40 * 3
    shaded = np.concatenate([np.full((60, 90, 3), 180), np.repeat(180 - rows[:, None, None], 90, axis=1) + np.zeros(3)])
    uneven = np.concatenate([shaded[:, :, :] + np.arange(90)[None, :, None] % 7, np.asarray(speckled())])
    picture = Image.fromarray(uneven.astype(np.uint8))
    assert content_box(picture) == whole(picture)


def test_a_dark_photo_is_told_from_black_bars() -> None:
    night = speckled().point([12 + value // 12 for value in range(256)] * 3)
    assert content_box(ImageOps.expand(night, (0, 50), fill=BLACK)) == (0, 50, 90, 170)


@pytest.mark.parametrize("size", [(16, 100_000), (100_000, 16)])
def test_what_no_camera_makes_is_not_searched(size: tuple[int, int]) -> None:
    endless = ImageOps.expand(Image.new("L", size, 255), 3, fill=0)
    assert content_box(endless) == whole(endless)


def test_frames_within_frames_are_followed_for_a_few_rounds_only() -> None:
    nested = speckled()
    for number in range(40):
        nested = ImageOps.expand(nested, 1, fill=(WHITE, BLACK)[number % 2])
    assert content_box(nested) == (MAX_ROUNDS, MAX_ROUNDS, nested.width - MAX_ROUNDS, nested.height - MAX_ROUNDS)


def test_two_halves_leave_one() -> None:
    halves = ImageOps.expand(Image.new("RGB", (50, 80), WHITE), (50, 0, 0, 0), fill=BLACK)
    assert content_box(halves) == (50, 0, 100, 80)


def test_somebody_before_an_even_wall_ends_no_bar() -> None:
    """Cut out with a white background, as shops and apps do."""
    picture = Image.new("RGB", (300, 400), WHITE)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((130, 40, 170, 90), fill=BLACK)
    draw.rectangle((100, 90, 200, 360), fill=BLUE)  # a straight coat down to the floor
    assert content_box(picture) == whole(picture)


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("colour", [BLACK, WHITE, BLUE], ids=["black", "white", "blue"])
def test_bars_change_nothing_at_all_of_a_photo_without_losses(name: str, colour: tuple[int, int, int]) -> None:
    photograph = decoded(name)
    barred = ImageOps.expand(photograph, (150, 40, 10, 260), fill=colour)
    plain, within = (prepare_picture(as_bytes(image)) for image in (photograph, barred))
    assert plain.mirrored == within.mirrored
    assert plain.image.tobytes() == within.image.tobytes()


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_bars_of_a_jpeg_are_found_but_for_a_seam(quality: int) -> None:
    photograph = decoded(PHOTOS[0])
    barred = load_rgb(as_jpeg(ImageOps.expand(photograph, (0, 203, 0, 151), fill=BLACK), quality), 4096)
    left, top, right, bottom = content_box(barred)
    assert (left, right) == (0, photograph.width)
    assert top == pytest.approx(203, abs=SEAM_PX)
    assert bottom == pytest.approx(203 + photograph.height, abs=SEAM_PX)


@pytest.mark.parametrize("name", PHOTOS)
def test_a_photo_that_ends_above_the_feet_is_refused_with_bars_as_well(name: str) -> None:
    photograph, height_cm = decoded(name), float(truth()[name]["height_cm"])
    measured = measure(as_bytes(photograph), height_cm)
    extent = np.array([(0, measured.features.extent.crown), (0, measured.features.extent.soles)])
    crown, soles = measured.cut_out.in_picture(extent)[:, 1] * photograph.height / measured.picture.image.height
    ankles = round(crown + 0.93 * (soles - crown))
    cut = photograph.crop((0, 0, photograph.width, ankles))
    with pytest.raises(PictureRefused) as refused:
        measure(as_bytes(ImageOps.expand(cut, (0, 60, 0, 200), fill=BLACK)), height_cm)
    assert refused.value.reason is Refusal.FEET_CUT_OFF


def test_bars_of_a_turned_photo_are_found_where_they_are() -> None:
    photograph = decoded(PHOTOS[0])
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    stored = io.BytesIO()
    barred = ImageOps.expand(photograph, (0, 90, 0, 10), fill=BLACK)
    barred.transpose(Image.Transpose.ROTATE_90).save(stored, "PNG", exif=exif)
    assert prepare_picture(stored.getvalue()).image.tobytes() == prepare_picture(as_bytes(photograph)).image.tobytes()


@pytest.mark.parametrize("side_px", [MEASURED_SIDE_PX, 64])
def test_nothing_beyond_the_content_is_blended_into_it(side_px: int) -> None:
    barred = as_bytes(ImageOps.expand(Image.new("RGB", (700, 900), BLUE), 77, fill=WHITE))
    kept = load_rgb(barred, side_px, content_box=lambda _: (77, 77, 777, 977))
    assert kept.getextrema() == ((40, 40), (60, 60), (200, 200))
    assert kept.height == side_px
