"""What the header says of the memory and the time that decoding takes."""

import io
import struct

import pytest
from PIL import Image

from models.failures import NotAnImage
from services.images.jpeg_structure import MAX_SCANS
from services.images.opening import SCANNED_JPEG_BYTES_PER_PIXEL, open_picture, peak_decode_bytes
from services.images.processor import prepare_image
from tests.support.images import encoded, plain

SIDE_PX = 64
COMPONENTS = (1, 2, 3)


def one_component_after_another(rounds: int) -> bytes:
    """A baseline JPEG with a scan for each component and, beyond the first round, scans nobody needs; all are empty."""
    with io.BytesIO() as whole:
        Image.new("RGB", (8, 8)).save(whole, "JPEG", subsampling="4:4:4")
        template = whole.getvalue()
    tables, position = b"", 2
    while (marker := template[position + 1]) != 0xDA:
        end = position + 2 + int.from_bytes(template[position + 2 : position + 4])
        if marker in (0xDB, 0xC4):  # quantisation and Huffman tables
            tables += template[position:end]
        position = end
    frame = struct.pack(">BBHBHHB", 0xFF, 0xC0, 17, 8, SIDE_PX, SIDE_PX, len(COMPONENTS))
    frame += b"".join(bytes([component, 0x11, min(component - 1, 1)]) for component in COMPONENTS)
    scans = b"".join(
        struct.pack(">BBHBBB", 0xFF, 0xDA, 8, 1, component, 0x11 if component > 1 else 0) + bytes([0, 63, 0])
        for component in COMPONENTS
    )
    return b"\xff\xd8" + tables + frame + scans * rounds + b"\xff\xd9"


@pytest.mark.parametrize(
    ("data", "bytes_per_pixel"),
    [
        pytest.param(plain(SIDE_PX, SIDE_PX), 1, id="baseline"),
        pytest.param(encoded(Image.new("L", (SIDE_PX, SIDE_PX)), "JPEG"), 1, id="baseline, grey"),
        pytest.param(encoded(Image.new("CMYK", (SIDE_PX, SIDE_PX)), "JPEG"), 1, id="baseline, four colours"),
        pytest.param(plain(SIDE_PX, SIDE_PX, progressive=True), SCANNED_JPEG_BYTES_PER_PIXEL, id="progressive"),
        pytest.param(one_component_after_another(1), SCANNED_JPEG_BYTES_PER_PIXEL, id="one component after another"),
    ],
)
def test_a_jpeg_in_several_scans_takes_the_memory_of_all_its_coefficients(data: bytes, bytes_per_pixel: int) -> None:
    with open_picture(data) as picture:
        assert peak_decode_bytes(picture) == SIDE_PX * SIDE_PX * bytes_per_pixel


def test_a_jpeg_with_its_components_one_after_another_is_accepted() -> None:
    assert prepare_image(one_component_after_another(1)).width == SIDE_PX


def test_a_baseline_jpeg_of_endless_scans_is_refused() -> None:
    prepare_image(one_component_after_another(MAX_SCANS // len(COMPONENTS)))
    with pytest.raises(NotAnImage, match="scans"):
        prepare_image(one_component_after_another(MAX_SCANS // len(COMPONENTS) + 1))
