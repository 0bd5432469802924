"""Resizing by SIMD instructions: Pillow's pixels, and at least the quality there was before."""

import io
import math

import pytest
from PIL import Image, ImageChops
from PIL.Image import Resampling

from proofs.bench.image_work import bare_image_work
from proofs.bench.pictures import Photograph, phone_photographs, web_photographs
from services.images.processor import prepare_image
from services.images.resizing import Box, resized
from services.images.shrinking import FOR_THE_EYE

PEAK_LEVEL = 255


def psnr_decibels(image: Image.Image, reference: Image.Image) -> float:
    """Peak signal-to-noise ratio over all channels."""
    counts = ImageChops.difference(image, reference).histogram()
    squares = sum(count * (level % (PEAK_LEVEL + 1)) ** 2 for level, count in enumerate(counts))
    return 10 * math.log10(PEAK_LEVEL**2 * sum(counts) / squares)


def opened(jpeg: bytes) -> Image.Image:
    with Image.open(io.BytesIO(jpeg)) as picture:
        picture.load()
        return picture.copy()


def as_exact_as_can_be(photograph: Photograph, size: tuple[int, int]) -> Image.Image:
    """A full decode and Pillow's bicubic."""
    return opened(photograph.jpeg).resize(size, Resampling.BICUBIC)


def difference(one: Image.Image, other: Image.Image) -> int:
    """The greatest, over all channels, in levels."""
    counts = ImageChops.difference(one, other).histogram()
    return max(level % (PEAK_LEVEL + 1) for level, count in enumerate(counts) if count)


@pytest.fixture(params=["12 megapixels", "3 megapixels"])
def photographs(request: pytest.FixtureRequest) -> tuple[Photograph, ...]:
    return phone_photographs() if request.param == "12 megapixels" else web_photographs()


@pytest.mark.heavy
def test_a_photograph_is_prepared_as_well_as_by_the_reference(photographs: tuple[Photograph, ...]) -> None:
    for photograph in photographs:
        prepared = opened(prepare_image(photograph.jpeg).jpeg)
        exact = as_exact_as_can_be(photograph, prepared.size)
        reference = opened(bare_image_work(photograph.jpeg))
        assert psnr_decibels(prepared, exact) >= psnr_decibels(reference, exact)


def test_photographs_of_12_megapixels_keep_43_and_40_decibels() -> None:
    for photograph, least in zip(phone_photographs(), (43.0, 40.2), strict=True):
        prepared = opened(prepare_image(photograph.jpeg).jpeg)
        assert psnr_decibels(prepared, as_exact_as_can_be(photograph, prepared.size)) >= least


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("size", [(333, 256), (1, 256), (380, 3)])
@pytest.mark.parametrize("box", [None, (0, 0, 1000.5, 776.25), (10, 20, 800, 600)])
def test_shrunken_pixels_are_pillows_within_a_level(mode: str, size: tuple[int, int], box: Box | None) -> None:
    noise = Image.merge("RGB", [Image.effect_noise((1001, 777), 20) for _ in range(3)]).convert(mode)
    ours = resized(noise, size, Resampling.BICUBIC, box=box, reducing_gap=4.0)
    assert ours.mode == mode
    assert difference(ours, noise.resize(size, Resampling.BICUBIC, box=box)) <= 1


@pytest.mark.heavy
def test_a_picture_in_several_blocks_of_memory_is_read_in_full() -> None:
    noise = Image.effect_noise((6000, 4000), 60).convert("RGB")  # 96 MB; Pillow's blocks have 16
    ours = resized(noise, (1024, 683), Resampling.BICUBIC, box=None, reducing_gap=4.0)
    assert difference(ours, noise.resize((1024, 683), Resampling.BICUBIC)) <= 1


def test_a_mode_the_library_does_not_know_is_left_to_pillow() -> None:
    image = Image.effect_noise((500, 400), 60).convert("YCbCr")
    expected = image.resize((50, 40), Resampling.BICUBIC)
    assert resized(image, (50, 40), Resampling.BICUBIC, box=None, reducing_gap=100.0).tobytes() == expected.tobytes()


def test_where_the_library_has_no_wheel_pillow_resizes_to_what_looks_the_same(
    photographs: tuple[Photograph, ...],
) -> None:
    size, gap = (768, 1024), FOR_THE_EYE.oversampling
    for photograph in photographs:
        image = opened(photograph.jpeg)
        by_pillow = resized(image, size, Resampling.BICUBIC, box=None, reducing_gap=gap, library=None)
        by_library = resized(image, size, Resampling.BICUBIC, box=None, reducing_gap=gap)
        assert by_pillow.tobytes() == image.resize(size, Resampling.BICUBIC, reducing_gap=gap).tobytes()
        assert psnr_decibels(by_pillow, by_library) > 40
