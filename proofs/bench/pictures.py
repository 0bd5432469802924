"""The inputs: photographs with the size and the grain of real ones, made from the sandbox's samples."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from PIL import Image, ImageChops

from sandbox.pictures.samples import SAMPLES

PHONE_PIXELS: Final = (3024, 4032)
"""12 megapixels, the usual camera of a phone."""

WEB_PIXELS: Final = (1536, 2048)
"""3 megapixels: a phone's picture after the messenger or the web client has shrunk it, and a shop's large view."""

LIGHT_PIXELS: Final = (768, 1024)
"""As large as the worker sends them: next to no work for it."""

GRAIN: Final = 10.0
"""Standard deviation of the sensor noise added, in 8-bit steps: makes the files weigh what phones' do (3 to 6 MB)."""

WEB_GRAIN: Final = 5.0
PHONE_QUALITY: Final = 92
WEB_QUALITY: Final = 85
NEUTRAL: Final = 128


@dataclass(frozen=True, slots=True)
class Photograph:
    """A JPEG and what to call it in the report."""

    name: str
    jpeg: bytes = field(repr=False)
    pixels: tuple[int, int]

    @property
    def description(self) -> str:
        """Size in pixels and in bytes."""
        return f"{self.pixels[0]}x{self.pixels[1]}, {len(self.jpeg) / 1e6:.1f} MB"


@cache
def phone_photographs() -> tuple[Photograph, ...]:
    """Two 12-megapixel photographs, person and garment."""
    return (
        _photograph("person-phone.jpg", "person-1.jpg", PHONE_PIXELS, GRAIN, PHONE_QUALITY),
        _photograph("garment-phone.jpg", "trousers.jpg", PHONE_PIXELS, GRAIN, PHONE_QUALITY),
    )


@cache
def web_photographs() -> tuple[Photograph, ...]:
    """Two photographs of ordinary size, person and garment."""
    return (
        _photograph("person-web.jpg", "person-2.jpg", WEB_PIXELS, WEB_GRAIN, WEB_QUALITY),
        _photograph("garment-web.jpg", "trousers.jpg", WEB_PIXELS, WEB_GRAIN, WEB_QUALITY),
    )


@cache
def light_photographs() -> tuple[Photograph, ...]:
    """Two small photographs, person and garment, for measuring what has nothing to do with pictures."""
    return (
        _photograph("person-light.jpg", "person-2.jpg", LIGHT_PIXELS, WEB_GRAIN, WEB_QUALITY),
        _photograph("garment-light.jpg", "trousers.jpg", LIGHT_PIXELS, WEB_GRAIN, WEB_QUALITY),
    )


def described(photographs: Sequence[Photograph]) -> str:
    """All of them, for the conditions of a section."""
    return " and ".join(photograph.description for photograph in photographs)


def _photograph(name: str, sample: str, pixels: tuple[int, int], grain: float, quality: int) -> Photograph:
    with Image.open(SAMPLES / sample) as picture:
        enlarged = picture.convert("RGB").resize(pixels, Image.Resampling.BICUBIC)
    noise = Image.effect_noise(pixels, grain)
    grainy = ImageChops.add(enlarged, Image.merge("RGB", [noise] * 3), offset=-NEUTRAL)
    jpeg = io.BytesIO()
    grainy.save(jpeg, "JPEG", quality=quality)
    return Photograph(name, jpeg.getvalue(), pixels)
