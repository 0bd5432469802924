"""What the container of an AVIF or HEIC cuts away of its picture (``clap``) is neither shown nor measured."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops
from PIL.Image import Transpose

from models.failures import ImageTooLarge, NotAnImage
from services.images.isobmff import CleanAperture, primary_item
from services.images.limits import DecodeLimits
from services.images.opening import HEIC_BYTES_PER_PIXEL, open_picture, peak_decode_bytes
from services.images.processor import load_rgb, prepare_image
from size_rec.photo.picture import prepare_picture
from tests.support.images import BLUE, RED, box, clean_aperture, encoded, heif_family_announcing, with_properties

WIDTH, HEIGHT = SIZE = 128, 96
FULL_SIDE_PX = 1024

CENTRED = clean_aperture(96, 1, 64, 1, 0, 1, 0, 1)
TOP_LEFT = clean_aperture(96, 1, 64, 1, -32, 2, -32, 2)
TOP_LEFT_BOX = (0, 0, 96, 64)
BOTTOM_RIGHT = clean_aperture(48, 1, 32, 1, 40, 1, 32, 1)

CROPS = {
    "centred": (CENTRED, (16, 16, 112, 80)),
    "at the top left": (TOP_LEFT, TOP_LEFT_BOX),
    "at the bottom right": (BOTTOM_RIGHT, (80, 64, 128, 96)),
    "of odd size and place": (clean_aperture(95, 1, 63, 1, -1, 2, 3, 2), (16, 18, 111, 81)),
    "the rows below a filling": (clean_aperture(128, 1, 90, 1, 0, 1, -3, 1), (0, 0, 128, 90)),
    "by other denominators": (clean_aperture(288, 3, 448, 7, -48, 3, -160, 10), TOP_LEFT_BOX),
    "one pixel": (clean_aperture(1, 1, 1, 1, -127, 2, 95, 2), (0, 95, 1, 96)),
    "half a pixel off": (clean_aperture(95, 1, 63, 1, 0, 1, 0, 1), (16, 17, 111, 80)),
    "half a pixel too wide and high": (clean_aperture(193, 2, 129, 2, 0, 1, 0, 1), (15, 16, 112, 81)),
    "beyond the right border": (clean_aperture(96, 1, 64, 1, 32, 1, 0, 1), (48, 16, 128, 80)),
    "beyond the left border": (clean_aperture(96, 1, 64, 1, -32, 1, 0, 1), (0, 16, 80, 80)),
    "wider than the picture": (clean_aperture(200, 1, 64, 1, 0, 1, 0, 1), (0, 16, 128, 80)),
    "larger than the picture": (clean_aperture(200, 1, 200, 1, 0, 1, 0, 1), (0, 0, *SIZE)),
}
"""A box → what is to be seen by it: left, top, right, bottom. The middle of 128 x 96 pixels is at 64, 48."""

crops = pytest.mark.parametrize(("aperture", "expected"), CROPS.values(), ids=CROPS.keys())

TURNS: dict[str, tuple[tuple[bytes, ...], tuple[Transpose, ...]]] = {
    "upright": ((), ()),
    "a quarter": ((box(b"irot", b"\1"),), (Transpose.ROTATE_90,)),
    "a half": ((box(b"irot", b"\2"),), (Transpose.ROTATE_180,)),
    "three quarters": ((box(b"irot", b"\3"),), (Transpose.ROTATE_270,)),
    "upside down in a mirror": ((box(b"imir", b"\0"),), (Transpose.FLIP_TOP_BOTTOM,)),
    "in a mirror": ((box(b"imir", b"\1"),), (Transpose.FLIP_LEFT_RIGHT,)),
    "a quarter, then a mirror": (
        (box(b"irot", b"\1"), box(b"imir", b"\1")),
        (Transpose.ROTATE_90, Transpose.FLIP_LEFT_RIGHT),
    ),
    "three quarters, then upside down": (
        (box(b"irot", b"\3"), box(b"imir", b"\0")),
        (Transpose.ROTATE_270, Transpose.FLIP_TOP_BOTTOM),
    ),
}
"""``irot`` turns anticlockwise by quarters; ``imir`` then exchanges top and bottom (0) or left and right (1)."""


def ramps() -> Image.Image:
    """A picture that tells by the colour of each pixel where it is: red grows to the right, green downwards."""
    across = Image.linear_gradient("L").transpose(Transpose.ROTATE_90).resize(SIZE)
    return Image.merge("RGB", (across, Image.linear_gradient("L").resize(SIZE), Image.new("L", SIZE, 100)))


def red_at_the_top_left() -> Image.Image:
    image = Image.new("RGB", SIZE, BLUE)
    image.paste(RED, TOP_LEFT_BOX)
    return image


def written(image: Image.Image, image_format: str = "AVIF", **options: Any) -> bytes:
    return encoded(image, image_format, quality=95, **options)


def in_full(file: bytes) -> Image.Image:
    return load_rgb(file, FULL_SIDE_PX)


def assert_same(image: Image.Image, expected: Image.Image, tolerance: int = 0) -> None:
    assert image.size == expected.size
    worst = max(high for _, high in ImageChops.difference(image, expected).getextrema())  # type: ignore[misc] # of RGB
    assert worst <= tolerance


@crops
def test_an_avif_shows_what_its_container_leaves_of_it(aperture: bytes, expected: tuple[int, int, int, int]) -> None:
    file = written(ramps())
    assert_same(in_full(with_properties(file, aperture)), in_full(file).crop(expected))


@crops
def test_a_heic_of_the_same_boxes_shows_the_same_and_is_not_cut_twice(
    aperture: bytes, expected: tuple[int, int, int, int]
) -> None:
    file = written(ramps(), "HEIF", chroma=444)
    shown = in_full(with_properties(file, aperture))
    assert_same(shown, in_full(file).crop(expected), tolerance=6)  # libheif converts colours after cutting


@pytest.mark.parametrize("crop", ["centred", "at the top left", "at the bottom right"])
@pytest.mark.parametrize(("turn", "transposes"), TURNS.values(), ids=TURNS.keys())
@pytest.mark.parametrize("image_format", ["AVIF", "HEIF"])
def test_it_is_cut_before_it_is_turned_and_turned_before_it_is_mirrored(
    image_format: str, crop: str, turn: tuple[bytes, ...], transposes: tuple[Transpose, ...]
) -> None:
    file = written(ramps(), image_format)
    aperture, left = CROPS[crop]
    expected = in_full(file).crop(left)
    for transpose in transposes:
        expected = expected.transpose(transpose)
    assert_same(in_full(with_properties(file, aperture, *turn)), expected, tolerance=0 if image_format == "AVIF" else 6)


@pytest.mark.parametrize("max_side_px", [FULL_SIDE_PX, 96, 50, 12])
@pytest.mark.parametrize(("image_format", "alpha"), [("AVIF", None), ("AVIF", 128), ("HEIF", None)])
def test_nothing_of_what_was_cut_away_is_seen_at_any_scale(
    image_format: str, alpha: int | None, max_side_px: int
) -> None:
    """Blue is what was cut away, and with transparency a part of it."""
    options = {"subsampling": "4:4:4"} if image_format == "AVIF" else {"chroma": 444}
    image = red_at_the_top_left()
    if alpha is not None:
        image.putalpha(alpha)
        image.paste((*RED, 255), TOP_LEFT_BOX)
    file = with_properties(written(image, image_format, **options), TOP_LEFT)
    prepared = prepare_image(file, max_side_px)
    side = min(max_side_px, 96)
    assert (prepared.width, prepared.height) == (side, round(side * 64 / 96))
    assert_same(in_full(prepared.jpeg), Image.new("RGB", (prepared.width, prepared.height), RED), tolerance=14)


def test_what_is_measured_is_what_is_seen() -> None:
    file = written(ramps())
    seen: list[tuple[int, int]] = []

    def whole(image: Image.Image) -> tuple[int, int, int, int]:
        seen.append(image.size)
        return 0, 0, *image.size

    load_rgb(with_properties(file, BOTTOM_RIGHT), 512, content_box=whole)
    assert seen == [(48, 32)]
    measured = prepare_picture(with_properties(file, BOTTOM_RIGHT)).as_taken
    assert measured is not None
    assert measured.size == (48, 32)


IGNORED = {
    "a width of nothing": clean_aperture(0, 1, 64, 1, 0, 1, 0, 1),
    "a height of nothing": clean_aperture(96, 1, 0, 1, 0, 1, 0, 1),
    "a width over nothing": clean_aperture(96, 0, 64, 1, 0, 1, 0, 1),
    "a height over nothing": clean_aperture(96, 1, 64, 0, 0, 1, 0, 1),
    "an offset over nothing": clean_aperture(96, 1, 64, 1, 0, 0, 0, 1),
    "another offset over nothing": clean_aperture(96, 1, 64, 1, 0, 1, 0, 0),
    "to the right of the picture": clean_aperture(96, 1, 64, 1, 112, 1, 0, 1),
    "to the left of the picture": clean_aperture(96, 1, 64, 1, -112, 1, 0, 1),
    "far below the picture": clean_aperture(96, 1, 64, 1, 0, 1, 2**31 - 1, 1),
    "less than half a pixel": clean_aperture(1, 2**32 - 1, 64, 1, 0, 1, 0, 1),
    "the greatest numbers": clean_aperture(2**32 - 1, 1, 2**32 - 1, 1, 0, 2**32 - 1, 0, 2**32 - 1),
}


@pytest.mark.parametrize("aperture", IGNORED.values(), ids=IGNORED.keys())
def test_a_crop_that_leaves_nothing_or_makes_no_sense_is_ignored(aperture: bytes) -> None:
    """As browsers do. libheif refuses a HEIC with it."""
    file = written(ramps())
    assert_same(in_full(with_properties(file, aperture)), in_full(file))


def test_what_is_cut_of_another_picture_in_the_file_is_not_cut_of_this_one() -> None:
    """The transparency of an AVIF is a picture beside it, with properties of its own."""
    image = ramps()
    image.putalpha(128)
    cut = with_properties(written(image), TOP_LEFT)
    assert in_full(cut).size == (96, 64)
    counts = cut.index(b"ipma") + 14
    last_of_the_picture = counts + cut[counts]
    last_of_its_alpha = last_of_the_picture + 3 + cut[last_of_the_picture + 3]
    swapped = bytearray(cut)
    swapped[last_of_the_picture], swapped[last_of_its_alpha] = cut[last_of_its_alpha], cut[last_of_the_picture]
    assert in_full(bytes(swapped)).size == SIZE


def test_a_clean_aperture_that_is_cut_off_is_none() -> None:
    whole = with_properties(written(ramps()), TOP_LEFT)
    assert primary_item(whole).aperture is not None
    short = with_properties(written(ramps()), box(b"clap", bytes(28)))
    assert primary_item(short).aperture is None
    with pytest.raises(NotAnImage):  # by libavif
        in_full(short)


def fractions(lowest: int, highest: int) -> st.SearchStrategy[Any]:
    return st.fractions(lowest, highest, max_denominator=2**32 - 1)


@given(
    st.builds(
        CleanAperture,
        fractions(0, 2**32 - 1),
        fractions(0, 2**32 - 1),
        fractions(-(2**31), 2**31 - 1),
        fractions(-(2**31), 2**31 - 1),
    ),
    st.tuples(st.integers(1, 16_384), st.integers(1, 16_384)),
)
def test_what_is_left_lies_in_the_picture(aperture: CleanAperture, size: tuple[int, int]) -> None:
    found = aperture.within(size)
    if found is not None:
        left, top, right, bottom = found
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]


@pytest.mark.parametrize("image_format", ["AVIF", "HEIF"])
def test_the_limit_is_on_the_pixels_that_are_decoded_and_not_on_those_that_are_left(image_format: str) -> None:
    file = with_properties(written(ramps(), image_format), TOP_LEFT, box(b"irot", b"\1"))
    assert prepare_image(file, limits=DecodeLimits(max_pixels=WIDTH * HEIGHT)).width == 64
    with pytest.raises(ImageTooLarge):
        prepare_image(file, limits=DecodeLimits(max_pixels=WIDTH * HEIGHT - 1))


@pytest.mark.parametrize("image_format", ["AVIF", "HEIF"])
def test_a_huge_picture_does_not_pass_for_what_is_left_of_it(image_format: str) -> None:
    """libheif gives its size as that of what is left."""
    file = with_properties(
        heif_family_announcing(16_000, 16_000, image_format), clean_aperture(64, 1, 64, 1, 0, 1, 0, 1)
    )
    with pytest.raises(ImageTooLarge):
        prepare_image(file)


def test_the_memory_of_a_heic_is_that_of_all_its_pixels() -> None:
    def needed(cut: Callable[[bytes], bytes]) -> int:
        with open_picture(cut(written(ramps(), "HEIF"))) as picture:
            return peak_decode_bytes(picture)

    whole = int(WIDTH * HEIGHT * HEIC_BYTES_PER_PIXEL[False, 420])
    assert needed(lambda file: file) == whole
    assert needed(lambda file: with_properties(file, TOP_LEFT)) == whole
    assert needed(lambda file: with_properties(file, TOP_LEFT, BOTTOM_RIGHT)) == whole
