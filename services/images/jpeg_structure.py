"""[pure] What the segments of a JPEG say before anything is decoded (ITU-T T.81 annex B)."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from models.failures import NotAnImage

SIGNATURE: Final = b"\xff\xd8\xff"
END_OF_IMAGE: Final = b"\xff\xd9"

MAX_SCANS: Final = 64
"""Encoders write about ten. Each scan walks over all coefficients, and an empty one takes a few bytes of file: ten
megabytes of them would keep a processor busy for an hour."""

MAX_SEGMENTS: Final = 5_000
"""A colour profile may have 255, and a second picture or a map of depths some hundreds more."""

NEEDED_SEGMENTS: Final = {
    0xE0: (b"JFIF\x00", 14),
    0xE1: (b"Exif\x00\x00", 6),
    0xE2: (b"ICC_PROFILE\x00", 14),
    0xEE: (b"Adobe", 12),
}
"""Application segments that say how the picture looks: marker → how it begins, and its least length. All others (XMP,
Photoshop's, second pictures, comments) stay away from the decoder: a broken one would refuse a good picture."""

_MARKER_BEGINS: Final = 0xFF
_START_OF_SCAN: Final = 0xDA
_END: Final = 0xD9
_COMMENT: Final = 0xFE
_APPLICATION: Final = range(0xE0, 0xF0)
_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_LOSSLESS_FRAMES: Final = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_PROGRESSIVE_FRAMES: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_LENGTH_BYTES: Final = 2
"""After its marker a segment begins with its length, which counts itself."""
_COEFFICIENTS: Final = 64

_MARKER: Final = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
"""A marker that ends the image or is followed by a length; not stuffing, TEM, restart, start of image or fill bytes
(ITU-T T.81 table B.1)."""


class Scan(NamedTuple):
    """A scan header: whose components' coefficients ``first`` to ``last`` it holds, and how many bits it leaves out."""

    components: tuple[int, ...]
    first: int
    last: int
    bits_left_out: int


class JpegFacts(NamedTuple):
    """Of the first image of a file. ``frame`` is the marker of its frame header; ``scans`` ends after ``MAX_SCANS``."""

    frame: int | None
    components: tuple[int, ...]
    scans: tuple[Scan, ...]
    has_end: bool

    @property
    def is_lossless(self) -> bool:
        """Decoded by prediction and not by frequencies, so there is no reduced scale."""
        return self.frame in _LOSSLESS_FRAMES

    @property
    def keeps_coefficients(self) -> bool:
        """Progressive, or one component after another: libjpeg decides it by the first scan (T.81 section 4.8)."""
        whole = bool(self.scans) and self.scans[0].components == self.components
        return not self.is_lossless and (self.frame in _PROGRESSIVE_FRAMES or not whole)

    @property
    def has_every_bit_announced(self) -> bool:
        """Whether the scans begun, put together, give every coefficient of every component in full."""
        missing = {(component, index) for component in self.components for index in range(_COEFFICIENTS)}
        for scan in self.scans:
            if self.frame not in _PROGRESSIVE_FRAMES:
                missing -= {(component, index) for component in scan.components for index in range(_COEFFICIENTS)}
            elif not scan.bits_left_out:
                found = range(scan.first, scan.last + 1)
                missing -= {(component, index) for component in scan.components for index in found}
        return bool(self.components) and not missing


def read_facts(data: bytes, *, only_first_scan: bool = False) -> JpegFacts:
    """Walk over the markers up to the end of the first image; what lies inside segments is stepped over.

    Ten megabytes take 3 ms; with ``only_first_scan`` the walk ends there.

    Raises:
        NotAnImage: more than ``MAX_SEGMENTS``.
    """
    frame: int | None = None
    components: tuple[int, ...] = ()
    scans: list[Scan] = []
    for marker, start in _markers(data):
        if marker == _END:
            return JpegFacts(frame, components, tuple(scans), has_end=True)
        if marker in _FRAMES:
            frame, components = marker, tuple(data[start + 8 : start + 8 + 3 * _byte(data, start + 7) : 3])
        elif marker == _START_OF_SCAN:
            spectrum = start + 3 + 2 * _byte(data, start + 2)
            if spectrum + 3 > len(data):
                break
            first, last, bits = data[spectrum : spectrum + 3]
            scans.append(Scan(tuple(data[start + 3 : spectrum : 2]), first, last, bits & 15))
            if only_first_scan or len(scans) > MAX_SCANS:
                break
    return JpegFacts(frame, components, tuple(scans), has_end=False)


def without_side_data(data: bytes) -> bytes:
    """The same picture without the segments that have no say in how it looks; what is no JPEG stays as it is."""
    view, kept = memoryview(data), []
    kept_from, position = 0, len(SIGNATURE) - 1
    for _ in range(MAX_SEGMENTS):
        marker = _byte(data, position + 1)
        if _byte(data, position) != _MARKER_BEGINS or marker == _START_OF_SCAN or not _has_length(marker):
            break
        length = int.from_bytes(data[position + 2 : position + 4])
        end = position + 2 + length
        if length < _LENGTH_BYTES or end > len(data):
            break
        if _is_side_data(marker, view[position + 4 : end]):
            kept.append(view[kept_from:position])
            kept_from = end
        position = end
    return b"".join([*kept, view[kept_from:]]) if kept else data


def _is_side_data(marker: int, body: memoryview) -> bool:
    if marker in NEEDED_SEGMENTS:
        name, least_bytes = NEEDED_SEGMENTS[marker]
        return len(body) < least_bytes or body[: len(name)] != name
    return marker == _COMMENT or marker in _APPLICATION


def _has_length(marker: int) -> bool:
    return marker != _END and _MARKER.fullmatch(bytes([0xFF, marker])) is not None


def _markers(data: bytes) -> Iterator[tuple[int, int]]:
    position = 0
    for _ in range(MAX_SEGMENTS):
        match = _MARKER.search(data, position)
        if match is None:
            return
        start = match.end()
        yield data[start - 1], start
        position = start + int.from_bytes(data[start : start + _LENGTH_BYTES])
    raise NotAnImage(f"more than {MAX_SEGMENTS} segments")


def _byte(data: bytes, position: int) -> int:
    return data[position] if position < len(data) else 0
