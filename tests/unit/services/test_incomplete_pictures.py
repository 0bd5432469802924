"""A file that was cut off is taken when nothing visible is lost, and refused in words of its own when it is."""

import threading
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile

from models.failures import IncompletePicture, NotAnImage
from services.images.incomplete_pictures import MAX_LOST_SHARE, completions
from services.images.limits import DecodeLimits
from services.images.processor import load_rgb, prepare_image
from tests.support.images import encoded, plain, with_orientation
from tests.support.lossless_jpeg import lossless_jpeg

PICTURES = Path(__file__).parents[2] / "data" / "pictures"

SIZE = (600, 800)
INVISIBLE_LEVELS = 12
"""Of 255: what the last bytes of a progressive JPEG change."""

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "JPEG": ("JPEG", {"quality": 85}),
    "JPEG with restarts": ("JPEG", {"quality": 85, "restart_marker_rows": 1}),
    "progressive JPEG": ("JPEG", {"quality": 85, "progressive": True}),
    "WebP": ("WEBP", {"quality": 80}),
    "lossless WebP": ("WEBP", {"lossless": True}),
    "HEIC": ("HEIF", {"quality": 70}),
    "HEIC in tiles": ("HEIF", {"quality": 70, "tile_size": 256}),
}
BY_KIND = pytest.mark.parametrize("kind", KINDS)


@cache
def photograph() -> Image.Image:
    """Soft shapes with a little noise: costs bytes everywhere, as photographs do."""
    levels_of_noise = np.random.default_rng(5).normal(128, 25, (SIZE[1], SIZE[0])).clip(0, 255)
    noise = Image.fromarray(levels_of_noise.astype(np.uint8)).convert("RGB")
    return Image.blend(Image.linear_gradient("L").resize(SIZE).convert("RGB"), noise, 0.5)


@cache
def whole(kind: str) -> bytes:
    image_format, options = KINDS[kind]
    return encoded(photograph(), image_format, **options)


def levels(image: Image.Image) -> NDArray[np.int16]:
    return np.asarray(image, dtype=np.int16)


def assert_nothing_visible_is_lost(data: bytes, cut: bytes, side_px: int = 800) -> None:
    """But in the last rows, the same picture; in these nothing that stands out from them."""
    expected, found = levels(load_rgb(data, side_px)), levels(load_rgb(cut, side_px))
    assert found.shape == expected.shape
    intact = int(len(expected) * (1 - MAX_LOST_SHARE)) - 1
    assert np.abs(found[:intact] - expected[:intact]).max() <= INVISIBLE_LEVELS
    assert np.abs(found[intact:] - expected[intact:]).mean() < 25


@pytest.mark.heavy
@BY_KIND
@pytest.mark.parametrize("bytes_lost", [1, 2, 3, 10, 20])
@pytest.mark.parametrize("side_px", [200, 800])
def test_a_photograph_without_its_last_bytes_is_accepted(kind: str, bytes_lost: int, side_px: int) -> None:
    data = whole(kind)
    assert_nothing_visible_is_lost(data, data[:-bytes_lost], side_px)


@pytest.mark.heavy
@BY_KIND
def test_however_much_is_cut_off_what_is_accepted_shows_all_of_it(kind: str) -> None:
    data, refused = whole(kind), 0
    for share in np.geomspace(0.0005, 0.6, 12):
        cut = data[: -int(len(data) * share)]
        try:
            assert_nothing_visible_is_lost(data, cut)
        except IncompletePicture:
            refused += 1
    assert refused >= 4


@pytest.mark.parametrize("name", ["eoi-missing.jpg", "cut-10-bytes.jpg"])
def test_rendered_bodies_without_their_ends_come_out_whole(name: str) -> None:
    image = load_rgb(PICTURES.joinpath(name).read_bytes(), 1024)
    assert image.size == (768, 1024)
    filled_by_the_decoder = (128, 128, 128)
    assert image.getpixel((767, 1023)) != filled_by_the_decoder


def test_what_is_lost_of_the_last_row_is_painted_over_with_the_row_above() -> None:
    """libjpeg fills it with grey, which the provider would take for a part of the picture."""
    red = plain(640, 800, quality=90)
    found = levels(load_rgb(red[:-20], 800))
    assert np.abs(found - found[0, 0]).max() <= 3


def test_a_turned_photograph_is_mended_where_its_last_rows_are() -> None:
    data = with_orientation(photograph(), 6, quality=85)
    whole_picture, mended = levels(load_rgb(data, 800)), levels(load_rgb(data[:-20], 800))
    differing_columns = np.flatnonzero(np.abs(whole_picture - mended).max(axis=(0, 2)) > INVISIBLE_LEVELS)
    assert 0 < len(differing_columns) <= MAX_LOST_SHARE * SIZE[0]
    assert min(differing_columns.min(), SIZE[0] - 1 - differing_columns.max()) == 0


def test_a_progressive_photograph_that_lacks_whole_scans_is_incomplete() -> None:
    data = whole("progressive JPEG")
    before_last_scan = data[: data.rindex(b"\xff\xda")]
    with pytest.raises(IncompletePicture, match="scans"):
        load_rgb(before_last_scan, 800)


@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_zeros_in_the_place_of_rows_are_no_rows(kept: float) -> None:
    """A file whose room was set aside and never filled."""
    data = whole("JPEG")
    written = int(len(data) * kept)
    with pytest.raises(IncompletePicture):
        load_rgb(data[:written] + bytes(len(data) - written), 800)


@pytest.mark.parametrize("size", [(640, 800), (1024, 1400)])
@pytest.mark.parametrize("bytes_lost", [2, 3, 4, 6, 12])
def test_a_white_wall_may_end_in_zeros(size: tuple[int, int], bytes_lost: int) -> None:
    """So do shops' pictures on white: with the shortest codes, zeros are what most of it is stored as."""
    shop = Image.new("RGB", size, (255, 255, 255))
    shop.paste(photograph().resize((400, 400)), (100, 100))
    data = encoded(shop, "JPEG", optimize=True)
    assert data[-66:-4] == bytes(62)
    assert_nothing_visible_is_lost(data, data[:-bytes_lost])


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_zeros_in_the_place_of_a_white_walls_end_are_not_taken_for_it(share: float) -> None:
    shop = Image.new("RGB", (640, 800), (255, 255, 255))
    shop.paste(photograph().resize((640, 400)), (0, 100))
    data = encoded(shop, "JPEG", optimize=True)
    written = int(len(data) * share)
    with pytest.raises(IncompletePicture):
        load_rgb(data[:written] + bytes(20_000), 800)


def test_a_lossless_jpeg_without_its_end_marker_is_accepted() -> None:
    data = lossless_jpeg(photograph().resize((60, 80)))
    assert load_rgb(data[:-2], 800).tobytes() == load_rgb(data, 800).tobytes()


def webp_with_exif(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(image, "WEBP", exif=exif.tobytes(), xmp=b"<xmp/>" * 100)


def test_a_webp_whose_last_words_are_not_of_the_picture_is_accepted() -> None:
    data = webp_with_exif(photograph())
    assert data.index(b"EXIF") < data.index(b"XMP ")
    assert_nothing_visible_is_lost(data, data[:-200])


def test_a_webp_that_lost_which_way_up_it_is_is_incomplete() -> None:
    data = webp_with_exif(photograph())
    with pytest.raises(IncompletePicture, match="way up"):
        load_rgb(data[: data.index(b"EXIF") + 10], 800)


def test_an_animation_is_taken_when_its_first_frame_is_there() -> None:
    frames = [photograph().resize((150, 200)), Image.effect_noise((150, 200), 90).convert("RGB")]
    data = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    last_frame = data.rindex(b"ANMF")
    found = load_rgb(data[: last_frame + (len(data) - last_frame) * 19 // 20], 200)
    assert found.tobytes() == load_rgb(data, 200).tobytes()
    with pytest.raises(IncompletePicture):
        load_rgb(data[: last_frame - 20], 200)


@pytest.mark.parametrize("image_format", ["PNG", "AVIF", "GIF"])
def test_other_formats_are_told_to_be_incomplete(image_format: str) -> None:
    data = encoded(photograph(), image_format)
    with pytest.raises(IncompletePicture):
        load_rgb(data[: -len(data) // 20], 800)


@pytest.mark.parametrize("last_byte", [b";", b"x"])
def test_a_cut_gif_may_end_in_any_byte(last_byte: bytes) -> None:
    data = encoded(photograph(), "GIF")
    with pytest.raises(IncompletePicture):
        load_rgb(data[: len(data) // 2] + last_byte, 800)


def test_a_gif_without_its_trailer_is_accepted() -> None:
    data = encoded(photograph(), "GIF")
    assert load_rgb(data[:-1], 800).tobytes() == load_rgb(data, 800).tobytes()


def test_a_png_without_its_last_chunk_is_accepted() -> None:
    data = encoded(photograph(), "PNG")
    assert load_rgb(data[:-12], 800).tobytes() == load_rgb(data, 800).tobytes()


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_a_whole_file_with_broken_pixels_is_not_called_incomplete(image_format: str) -> None:
    data = bytearray(encoded(photograph().resize((60, 80)), image_format))
    if image_format == "JPEG":
        position = data.index(b"\xff\xc4") + 5  # a Huffman table that is none
        data[position : position + 16] = b"\xff\x00" * 8
    else:
        middle = len(data) // 2
        data[middle - 200 : middle + 200] = bytes(400)
    try:
        prepare_image(bytes(data))
    except NotAnImage:
        return
    assert image_format in {"WEBP", "HEIF", "AVIF"}  # whose decoders make something of any bytes


def test_a_whole_file_is_decoded_once() -> None:
    for kind in KINDS:
        data = whole(kind)
        versions = completions(data)
        assert len(versions) == 1
        assert versions[0] is data


def test_a_picture_that_is_too_large_to_be_decoded_twice_is_incomplete() -> None:
    limits = DecodeLimits(max_decode_bytes=12 * SIZE[0] * SIZE[1])
    data = whole("HEIC")
    assert load_rgb(data, 800, limits=limits).size == SIZE
    with pytest.raises(IncompletePicture, match="twice"):
        load_rgb(data[:-2], 800, limits=limits)


def test_threads_that_decode_whole_and_cut_files_do_not_disturb_one_another() -> None:
    """Pillow's own way of taking cut files is one switch for the whole process."""
    data = whole("JPEG")
    rows_lost = data[: len(data) // 2]
    outcomes: list[str] = []

    def work() -> None:
        for _ in range(5):
            load_rgb(data[:-2], 200)
            try:
                load_rgb(rows_lost, 200)
            except IncompletePicture:
                outcomes.append("refused")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["refused"] * 20
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
