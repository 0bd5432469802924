"""WebP decoded at reduced scale looks as if Pillow had decoded it in full and shrunk it then."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.WebPImagePlugin import WebPImageFile

from models.failures import IncompletePicture
from services.images.opening import open_picture, peak_decode_bytes
from services.images.processor import load_rgb
from services.images.shrinking import shrunken_rgb
from services.images.webp import ANIMATION_BYTES_PER_PIXEL, ScaledWebPFile
from tests.support.images import encoded

SIZE = (600, 450)
KINDS: dict[str, dict[str, Any]] = {
    "lossy": {"quality": 90},
    "lossless": {"lossless": True},
    "near lossless": {"lossless": True, "quality": 40},
}


def scene(mode: str = "RGB") -> Image.Image:
    """Soft shapes of many colours; with alpha, a disc of them on a ground that is transparent, and black beneath."""
    red, green = np.meshgrid(np.linspace(0, 255, SIZE[0]), np.linspace(0, 255, SIZE[1]))
    blue = 127 + 120 * np.sin(red / 20) * np.cos(green / 15)
    picture = Image.fromarray(np.stack([red, green, blue], axis=2).astype(np.uint8))
    if mode == "RGB":
        return picture
    columns, rows = np.meshgrid(np.arange(SIZE[0]) - SIZE[0] / 2, np.arange(SIZE[1]) - SIZE[1] / 2)
    disc = np.clip(180 - np.hypot(columns, rows), 0, 1)
    pixels = np.dstack([np.asarray(picture) * (disc > 0)[..., None], disc * 255])
    return Image.fromarray(pixels.astype(np.uint8))


def by_pillow_alone(data: bytes) -> WebPImageFile:
    return WebPImageFile(io.BytesIO(data))


class WithoutLibwebp(ScaledWebPFile):
    """As where Pillow is linked with libwebp statically."""

    library = None


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_picture_looks_as_if_decoded_in_full_and_shrunk_then(mode: str, options: dict[str, Any]) -> None:
    data = encoded(scene(mode), "WEBP", **options)
    ours = load_rgb(data, 200)
    reference = shrunken_rgb(by_pillow_alone(data), 200)
    assert ours.size == reference.size == (200, 150)
    difference = np.abs(np.asarray(ours, dtype=int) - np.asarray(reference, dtype=int))
    assert difference.mean() < 1.5
    assert difference.max() < 40


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_small_picture_keeps_every_pixel(mode: str, options: dict[str, Any]) -> None:
    data = encoded(scene(mode), "WEBP", **options)
    ours = load_rgb(data, 4096)
    reference = shrunken_rgb(by_pillow_alone(data), 4096)
    assert ours.size == SIZE
    assert np.abs(np.asarray(ours, dtype=int) - np.asarray(reference, dtype=int)).max() <= 1


def test_what_is_transparent_does_not_darken_the_edge_of_what_is_not() -> None:
    white_disc = scene("RGBA")
    white_disc.paste((255, 255, 255), (0, 0, *SIZE), white_disc.getchannel("A").point(lambda alpha: 255 * (alpha > 0)))
    small = load_rgb(encoded(white_disc, "WEBP", lossless=True, exact=True), 60)
    assert np.asarray(small).min() > 250


def test_only_the_pixels_asked_for_are_decoded() -> None:
    with open_picture(encoded(scene(), "WEBP")) as picture:
        assert picture.draft(None, (60, 45)) == ("RGB", (0, 0, 60, 45))
        picture.load()
        assert picture.size == picture.im.size == (60, 45)
        picture.load()


@pytest.mark.parametrize("size", [None, (601, 450), (600, 451), (5000, 5000)])
def test_a_picture_is_never_enlarged(size: tuple[int, int] | None) -> None:
    with open_picture(encoded(scene(), "WEBP")) as picture:
        assert picture.draft(None, size) is None
        picture.load()
        assert picture.im.size == SIZE


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_that_ends_too_early_is_refused(mode: str, options: dict[str, Any], share: float) -> None:
    data = encoded(scene(mode), "WEBP", **options)
    with pytest.raises(IncompletePicture):
        load_rgb(data[: int(share * len(data))], 100)


def test_the_kinds_differ_in_the_memory_they_are_expected_to_take() -> None:
    expected = []
    for mode, options in (("RGB", {}), ("RGB", {"lossless": True}), ("RGBA", {"lossless": True})):
        with open_picture(encoded(scene(mode), "WEBP", **options)) as picture:
            expected.append(peak_decode_bytes(picture) / (SIZE[0] * SIZE[1]))
    assert expected == [0.5, 4.5, 8]


def animation() -> bytes:
    frames = [scene(), scene().transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    return encoded(frames[0], "WEBP", lossless=True, save_all=True, append_images=frames[1:])


def test_an_animation_is_left_to_pillow_with_the_memory_that_takes() -> None:
    with open_picture(animation()) as picture:
        assert isinstance(picture, ScaledWebPFile)
        assert picture.peak_bytes_per_pixel == ANIMATION_BYTES_PER_PIXEL
        assert picture.draft(None, (60, 45)) is None
    assert np.abs(np.asarray(load_rgb(animation(), 4096), dtype=int) - np.asarray(scene(), dtype=int)).max() <= 1


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_without_a_callable_libwebp_pillow_decodes_with_the_memory_that_takes(mode: str) -> None:
    data = encoded(scene(mode), "WEBP", lossless=True)
    picture = WithoutLibwebp(io.BytesIO(data))
    assert peak_decode_bytes(picture) == ANIMATION_BYTES_PER_PIXEL * SIZE[0] * SIZE[1]
    assert shrunken_rgb(picture, 200).size == (200, 150)


def test_the_libwebp_inside_pillow_is_called_here() -> None:
    """If a new Pillow links it otherwise, large pictures are refused that were taken before: this says so."""
    assert ScaledWebPFile.library is not None
