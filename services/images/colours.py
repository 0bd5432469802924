"""[pure] Colours of any kind → sRGB, judged by what they are and not by what they are called (ADR 0029).

A picture says what its numbers mean by an ICC profile or by code points (ITU-T H.273): two numbers in ``colr`` of AVIF
and HEIC, and in ``cICP`` of PNG. Code points become a profile, so that there is one way for both.
"""

import io
import math
import struct
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from itertools import accumulate
from typing import Final, NamedTuple

from PIL import Image, ImageChops, ImageCms

SAME_LEVELS: Final = 3
"""Of 255: two profiles for sRGB differ by rounding, and one stored in 400 bytes by its approximated curve."""

PROBE_STEPS: Final = (0, 32, 64, 96, 128, 160, 192, 224, 255)
"""Levels of red, green and blue with which a profile is tried out: a curve's dark end, its middle and every primary."""

CURVE_POINTS: Final = 4096
"""Of a curve made from code points: sixteen for each level of an 8-bit picture."""

SDR_WHITE_NITS: Final = 203.0
"""ITU-R BT.2408: how bright paper is in HDR. It becomes a light grey, and what is brighter still differs from it."""
KNEE: Final = 0.5
"""Up to half of that white nothing changes (faces lie below); from there to the brightest the curve flattens."""
_SRGB_LINEAR_UP_TO: Final = 0.04045
_HLG_ROOT_UP_TO: Final = 0.5
HLG_PEAK_NITS: Final = 1000.0
HLG_GAMMA: Final = 1.2
"""The display that ITU-R BT.2100 table 5 assumes; its gamma is taken for each channel by itself."""

_PROFILE_SPACES: Final = {"RGB": "RGB ", "CMYK": "CMYK", "L": "GRAY"}
"""Mode → the colour space its ICC profile must be for (ICC.1:2022 table 19)."""

_PROFILE_HEADER_BYTES: Final = 128
_D50: Final = (0.9642, 1.0, 0.8249)
_COLORANTS: Final = {
    1: ((0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1430, 0.0606, 0.7139)),
    9: ((0.6735, 0.2790, -0.0019), (0.1657, 0.6753, 0.0300), (0.1250, 0.0456, 0.7969)),
    12: ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)),
}
"""Code points of the primaries of BT.709 (which sRGB has), BT.2020 and Display P3 → XYZ of red, green and blue, adapted
to D50 by Bradford's matrix (ICC.1:2022 annex E). All others, of old television, are within a few levels of sRGB."""
_BT709: Final = 1


class CodePoints(NamedTuple):
    """Colour primaries and transfer characteristics by their numbers in ITU-T H.273 tables 2 and 3."""

    primaries: int
    transfer: int


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """``image`` as RGB with the colours of sRGB; a profile that is broken or for other colours is ignored.

    Phones record the wider Display P3, which looks pale when taken for sRGB. Best done on a small picture.
    """
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if source.profile.xcolor_space == _PROFILE_SPACES[image.mode]:
                transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), image.mode, "RGB")
                if image.mode != "RGB" or not _changes_nothing(transform):
                    return transform.apply(image)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=16)
def profile_of(colours: CodePoints) -> bytes | None:
    """An ICC profile that says the same as code points; ``None`` for those that are shown like sRGB.

    PQ and HLG hold more brightness than sRGB has room for: their curves keep what is up to half as bright as paper and
    compress what is above.
    """
    primaries = colours.primaries if colours.primaries in _COLORANTS else _BT709
    if primaries == _BT709 and colours.transfer not in _CURVES:
        return None
    light_of = _CURVES.get(colours.transfer, _srgb_light)
    curve = [light_of(point / (CURVE_POINTS - 1)) for point in range(CURVE_POINTS)]
    return _matrix_profile(_COLORANTS[primaries], curve)


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    probe = _probe()
    changes = ImageChops.difference(probe, transform.apply(probe)).getextrema()
    return max(most for _, most in changes) <= SAME_LEVELS  # type: ignore[misc] # a pair for each channel


@cache
def _probe() -> Image.Image:
    colours = [(red, green, blue) for red in PROBE_STEPS for green in PROBE_STEPS for blue in PROBE_STEPS]
    return Image.frombytes("RGB", (len(colours), 1), bytes(level for colour in colours for level in colour))


def _srgb_light(signal: float) -> float:
    """IEC 61966-2-1."""
    return signal / 12.92 if signal <= _SRGB_LINEAR_UP_TO else float(((signal + 0.055) / 1.055) ** 2.4)


def _pq_light(signal: float) -> float:
    """SMPTE ST 2084, compressed."""
    root = signal ** (1 / 78.84375)
    nits = 10_000 * (max(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
    return _compressed(nits / SDR_WHITE_NITS)


def _hlg_light(signal: float) -> float:
    """ITU-R BT.2100 table 5, compressed."""
    scene = (
        signal**2 / 3 if signal <= _HLG_ROOT_UP_TO else (math.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
    )
    return _compressed(scene**HLG_GAMMA * HLG_PEAK_NITS / SDR_WHITE_NITS)


def _compressed(light: float) -> float:
    """Light of which paper has 1 and lamps have more → light that ends at 1, with the same slope at the knee."""
    room = 1 - KNEE
    return light if light <= KNEE else KNEE + room * (1 - math.exp((KNEE - light) / room))


_CURVES: Final[dict[int, Callable[[float], float]]] = {
    4: lambda signal: signal**2.2,
    5: lambda signal: signal**2.8,
    8: lambda signal: signal,
    16: _pq_light,
    18: _hlg_light,
}
"""Code points of curves. All others mean BT.709's, sRGB's or nothing: cameras and browsers show them like sRGB's."""


def _matrix_profile(colorants: Sequence[Sequence[float]], curve: Sequence[float]) -> bytes:
    """An ICC profile of three primaries and one curve for all three (ICC.1:2001-04, the version every reader knows)."""
    xyz = [b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(part * 65536) for part in one)) for one in (_D50, *colorants)]
    levels = struct.pack(f">{len(curve)}H", *(round(light * 65535) for light in curve))
    bodies = [*xyz, b"curv\0\0\0\0" + struct.pack(">I", len(curve)) + levels]
    tags = {b"wtpt": 0, b"rXYZ": 1, b"gXYZ": 2, b"bXYZ": 3, b"rTRC": 4, b"gTRC": 4, b"bTRC": 4}
    starts = list(accumulate(map(len, bodies), initial=_PROFILE_HEADER_BYTES + 4 + 12 * len(tags)))
    table = struct.pack(">I", len(tags)) + b"".join(
        name + struct.pack(">II", starts[body], len(bodies[body])) for name, body in tags.items()
    )
    header = bytearray(_PROFILE_HEADER_BYTES)
    struct.pack_into(">I4xI12s", header, 0, starts[-1], 0x02400000, b"mntrRGB XYZ ")
    struct.pack_into(">4s", header, 36, b"acsp")
    struct.pack_into(">3i", header, 68, *(round(part * 65536) for part in _D50))
    return bytes(header) + table + b"".join(bodies)
