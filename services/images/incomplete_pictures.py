"""Pictures whose file ends before it says it does: is anything of what they show lost? (ADR 0030)

Messengers and uploads cut by a byte count leave the last bytes away. What is missing is filled in twice, in two ways;
where both pictures are the same, nothing depended on it. Differences in the last rows are painted over with the row
above; more than that is a part of the person.
"""

from collections.abc import Callable
from typing import Final

from PIL import Image, ImageChops, ImageStat

from models.failures import IncompletePicture
from services.images import gif_structure, isobmff, jpeg_structure, riff_structure
from services.images.jpeg_structure import END_OF_IMAGE

MAX_LOST_SHARE: Final = 1 / 40
"""Of the rows: a row of JPEG's blocks in a picture of 640 rows. Nobody crops a photograph that exactly."""

VISIBLE_LEVELS: Final = 8
"""Of 255: what a progressive JPEG's last bits change stays below; what is really lost is arbitrary."""

EVEN_LEVELS: Final = 2
"""Of 255: between the pixels of a row of one colour."""

MAX_MISSING_SHARE: Final = 0.1
"""Of a file's bytes: with more away, more than the last rows are."""

_NOISE: Final = bytes((index * 151 + index // 254 * 89) % 254 for index in range(4096))
"""Looks like compressed data in any format, and holds no JPEG marker."""

_HALF_A_MARKER: Final = b"\xff"

_MANY_ZEROS: Final = bytes(64)
"""At the end of a JPEG they are a white wall, or the room of a file that was never written to its end."""
_DOUBTED_BYTES: Final = 24
"""Of a wall's zeros each byte is needed for some blocks; of such a room's nearly all are too many. It takes some blocks
until one differs: on white, the first may only be made whiter."""

_SURPLUS_BYTES: Final = 64 * 1024
"""More than is missing of a WebP: invented data need more room than real ones, and libwebp refuses when it ends."""


def completions(data: bytes) -> tuple[bytes, ...]:
    """The file, completed in two different ways; in one if only side data is cut, and as it is if nothing is.

    For JPEG, WebP and HEIC. Of the other formats it is not known how their decoders take invented data.

    Raises:
        IncompletePicture: what is missing cannot be filled in without losing something.
    """
    if data.startswith(jpeg_structure.SIGNATURE):
        return _jpeg_completions(data)
    if riff_structure.is_webp(data):
        return _filled(data, riff_structure.missing_bytes(data), _SURPLUS_BYTES, riff_structure.completed)
    if isobmff.is_heic(data):
        return _filled(data, isobmff.missing_bytes(data), 0, _completed_heic)
    return (data,)


def ends_early(data: bytes) -> bool:
    """Whether a file that cannot be decoded says itself that it should be longer."""
    if data.startswith(jpeg_structure.SIGNATURE):
        facts = jpeg_structure.read_facts(data)
        return bool(facts.components) and not facts.has_end
    if riff_structure.is_webp(data):
        return riff_structure.missing_bytes(data) > 0
    if isobmff.is_isobmff(data):
        return isobmff.missing_bytes(data) > 0
    return data.startswith(gif_structure.SIGNATURES) and gif_structure.ends_early(data)


def ends_in_zeros(data: bytes) -> bool:
    """Whether it is doubtful that the last bytes of a JPEG are its own: then its completions must differ."""
    return data.startswith(jpeg_structure.SIGNATURE) and data.endswith(_MANY_ZEROS)


def mend(picture: Image.Image, other: Image.Image, *, must_differ: bool = False) -> None:
    """Paint over what differs between two completions of one file, both as stored, with the row above it.

    Raises:
        IncompletePicture: more than the last rows differ, or nothing that ``must_differ``.
    """
    if (picture.mode, picture.size) != (other.mode, other.size):
        raise IncompletePicture("the size of the picture is lost")
    strongest = None
    for band in ImageChops.difference(picture, other).split():
        strongest = band if strongest is None else ImageChops.lighter(strongest, band)
    assert strongest is not None  # noqa: S101 - a picture has a band
    lost = strongest.point(lambda level: 255 * (level > VISIBLE_LEVELS)).getbbox()
    if lost is None:
        if must_differ:
            raise IncompletePicture("there are zeros in the place of its end")
        return
    left, top, right, _ = lost
    width_and_rows = right - left, picture.height - top
    if top == 0 or width_and_rows[1] > MAX_LOST_SHARE * picture.height:
        raise IncompletePicture(f"the last {width_and_rows[1]} of {picture.height} rows are lost")
    row_above = picture.crop((left, top - 1, right, top))
    if must_differ and not _is_even(row_above):
        raise IncompletePicture("there are zeros in the place of its end")
    picture.paste(row_above.resize(width_and_rows), (left, top))


def _is_even(row: Image.Image) -> bool:
    """As a wall is that is stored as zeros; zeros taken for other blocks make a pattern."""
    return all(brightest - darkest <= EVEN_LEVELS for darkest, brightest in ImageStat.Stat(row).extrema)


def _jpeg_completions(data: bytes) -> tuple[bytes, ...]:
    if data.endswith(END_OF_IMAGE):
        return (data,)
    facts = jpeg_structure.read_facts(data)
    if facts.has_end or not facts.scans or len(facts.scans) > jpeg_structure.MAX_SCANS:
        return (data,)  # whole, or for the decoder to judge
    if not facts.has_every_bit_announced:
        raise IncompletePicture("whole scans are missing")
    cut = data.rstrip(_HALF_A_MARKER)
    doubted = cut[:-_DOUBTED_BYTES] if ends_in_zeros(data) else cut
    return cut + END_OF_IMAGE, doubted + _NOISE + END_OF_IMAGE


def _completed_heic(data: bytes, filler: bytes) -> bytes:
    if not isobmff.lacks_only_the_end_of_a_slice(data):
        raise IncompletePicture("whole pieces are missing")
    return data + filler


def _filled(
    data: bytes, missing_bytes: int, surplus_bytes: int, complete: Callable[[bytes, bytes], bytes]
) -> tuple[bytes, ...]:
    if missing_bytes == 0:
        return (data,)
    if missing_bytes > MAX_MISSING_SHARE * len(data):
        raise IncompletePicture(f"{missing_bytes} bytes are missing")
    length = missing_bytes + surplus_bytes
    noise = (_NOISE * (length // len(_NOISE) + 1))[:length]
    versions = complete(data, bytes(length)), complete(data, noise)
    return versions if versions[0] != versions[1] else versions[:1]
