"""[pure] The boxes of AVIF and HEIC (ISO/IEC 14496-12, 23008-12), as far as the decoders do not tell. Bounded."""

import struct
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Final, NamedTuple

from services.images.colours import CodePoints

MAX_BOXES: Final = 1_000
"""At one level; phones write up to a hundred and fifty properties, one for each tile at most."""

_HEADER_BYTES: Final = 8
_LARGE_HEADER_BYTES: Final = 16
_CLEAN_APERTURE: Final = struct.Struct(">4I iI iI")
"""Width, height, and two offsets, which may be negative; each a numerator and a denominator."""
_HALF: Final = Fraction(1, 2)
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_FULL_BOX_BYTES: Final = 4
"""Version and flags."""
_LONG_ITEM_IDS: Final = 3
"""The version of ``infe`` that has them."""
_SLICE_LENGTH_BYTES: Final = 4
_SLICE_BEGINNING_BYTES: Final = 64
"""More than the header of a slice, without which nothing of it can be decoded."""


def is_isobmff(data: bytes) -> bool:
    """Whether it begins with a file type box."""
    return data[4:8] == b"ftyp"


def is_heic(data: bytes) -> bool:
    """Whether it begins like a file of that family that is no AVIF."""
    return is_isobmff(data) and data[8:12] not in _AVIF_BRANDS


def missing_bytes(data: bytes) -> int:
    """By how much the file is shorter than its last box says."""
    return max(0, max((end for _, _, end in _boxes(data, 0, len(data))), default=0) - len(data))


class CleanAperture(NamedTuple):
    """What is to be seen of a picture (``clap``, ISO/IEC 14496-12 section 12.1.4), in pixels as stored: its size, and
    how far its middle lies to the right of the picture's and below it."""

    width: Fraction
    height: Fraction
    right: Fraction
    down: Fraction

    def within(self, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
        """left, top, right and bottom in a picture of that size; ``None`` if nothing would be left of it.

        MIAF allows whole pixels inside the picture only (ISO/IEC 23000-22 section 7.3.6.7). Others are rounded, and cut
        off at its border, as by libheif: a HEIC and an AVIF of the same boxes show the same.
        """
        left = int((size[0] - self.width) / 2 + self.right)
        top = int((size[1] - self.height) / 2 + self.down + _HALF)
        right, bottom = left + int(self.width + _HALF), top + int(self.height + _HALF)
        box = max(left, 0), max(top, 0), min(right, size[0]), min(bottom, size[1])
        return box if box[0] < box[2] and box[1] < box[3] else None


class PrimaryItem(NamedTuple):
    """What the container says of the picture to be shown; ``None`` where it says nothing that makes sense."""

    colours: CodePoints | None = None
    """Its ``colr`` box of type ``nclx``."""
    aperture: CleanAperture | None = None


def primary_item(data: bytes) -> PrimaryItem:
    """The first of each kind that makes sense counts; of broken boxes nothing is believed."""
    colours = aperture = None
    with suppress(ValueError, IndexError):
        for name, start, end in _primary_properties(data):
            if name == b"colr" and data[start : start + 4] == b"nclx":
                colours = colours or CodePoints(_number(data, start + 4, 2), _number(data, start + 6, 2))
            if name == b"clap":
                aperture = aperture or _clean_aperture(data, start, end)
    return PrimaryItem(colours, aperture)


def lacks_only_the_end_of_a_slice(data: bytes) -> bool:
    """Whether a HEIC that was cut off still has the beginning of every piece of compressed picture in it.

    A decoder that meets a piece it can do nothing with leaves its place empty, without a word.
    """
    with suppress(ValueError, IndexError):
        meta = _meta(data)
        pictures = _hevc_items(data, *meta)
        return all(
            _begins_every_slice(data, start, end)
            for item, start, end in _extents(data, *meta)
            if item in pictures and end > len(data)
        )
    return False


def _primary_properties(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    first, end = _meta(data)
    start, end_of_properties = _find(data, b"iprp", first, end)
    properties = list(_boxes(data, *_find(data, b"ipco", start, end_of_properties)))
    wanted = _property_indices(data, _primary_item_id(data, first, end), start, end_of_properties)
    return (properties[index - 1] for index in wanted if index)


def _meta(data: bytes) -> tuple[int, int]:
    start, end = _find(data, b"meta", 0, len(data))
    return start + _FULL_BOX_BYTES, end


def _clean_aperture(data: bytes, start: int, end: int) -> CleanAperture | None:
    if min(end, len(data)) - start < _CLEAN_APERTURE.size:
        return None
    numbers = _CLEAN_APERTURE.unpack_from(data, start)
    if 0 in numbers[1::2]:
        return None
    return CleanAperture(*map(Fraction, numbers[::2], numbers[1::2]))


def _begins_every_slice(data: bytes, start: int, end: int) -> bool:
    """Slices of HEVC stand behind their lengths (ISO/IEC 14496-15 section 8.3.3)."""
    while start + _SLICE_LENGTH_BYTES + _SLICE_BEGINNING_BYTES <= len(data):
        start += _SLICE_LENGTH_BYTES + _number(data, start, _SLICE_LENGTH_BYTES)
        if start >= len(data):
            return start == end
    return False


def _hevc_items(data: bytes, start: int, end: int) -> set[int]:
    body, body_end = _find(data, b"iinf", start, end)
    entries = body + _FULL_BOX_BYTES + (2 if data[body] == 0 else 4)
    found = set()
    for _, entry, _ in _boxes(data, entries, body_end):
        id_bytes = 4 if data[entry] == _LONG_ITEM_IDS else 2
        kind = entry + _FULL_BOX_BYTES + id_bytes + 2
        if data[kind : kind + 4] == b"hvc1":
            found.add(_number(data, entry + _FULL_BOX_BYTES, id_bytes))
    return found


def _extents(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Item, start and end of each piece of an item in the file (23008-12 refers to 14496-12 section 8.11.3)."""
    position, box_end = _find(data, b"iloc", start, end)
    version = data[position]
    sizes = _number(data, position + _FULL_BOX_BYTES, 2)
    offset_bytes, length_bytes, base_bytes, index_bytes = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, sizes & 15
    id_bytes = 4 if version > 1 else 2
    position += _FULL_BOX_BYTES + 2 + id_bytes
    while position < box_end:
        item = _number(data, position, id_bytes)
        position += id_bytes + (2 if version else 0) + 2
        base = _number(data, position, base_bytes)
        count = _number(data, position + base_bytes, 2)
        position += base_bytes + 2
        for _ in range(min(count, MAX_BOXES)):
            position += index_bytes if version else 0
            offset = base + _number(data, position, offset_bytes)
            yield item, offset, offset + _number(data, position + offset_bytes, length_bytes)
            position += offset_bytes + length_bytes


def _primary_item_id(data: bytes, start: int, end: int) -> int:
    body, _ = _find(data, b"pitm", start, end)
    return _number(data, body + _FULL_BOX_BYTES, 2 if data[body] == 0 else 4)


def _property_indices(data: bytes, item: int, start: int, end: int) -> list[int]:
    """Which properties belong to an item, counted from 1 (23008-12 section 9.3)."""
    body, body_end = _find(data, b"ipma", start, end)
    item_bytes = 2 if data[body] == 0 else 4
    index_bytes = 2 if data[body + 3] & 1 else 1
    position = body + _FULL_BOX_BYTES + 4
    while position < body_end:
        found, count = _number(data, position, item_bytes), data[position + item_bytes]
        position += item_bytes + 1
        if found == item:
            mask = (1 << (8 * index_bytes - 1)) - 1  # the first bit says whether it is essential
            return [_number(data, position + index_bytes * nth, index_bytes) & mask for nth in range(count)]
        position += count * index_bytes
    return []


def _find(data: bytes, wanted: bytes, start: int, end: int) -> tuple[int, int]:
    for name, body, body_end in _boxes(data, start, end):
        if name == wanted:
            return body, min(body_end, end)
    raise ValueError("no such box")


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, start of the body and end of each box; the last may end behind the data."""
    for _ in range(MAX_BOXES):
        if start + _HEADER_BYTES > end:
            return
        size, header = _number(data, start, 4), _HEADER_BYTES
        if size == 1:
            size, header = _number(data, start + 8, 8), _LARGE_HEADER_BYTES
        elif size == 0:
            size = end - start  # to the end of the file
        if size < header:
            return
        yield data[start + 4 : start + 8], start + header, start + size
        start += size


def _number(data: bytes, start: int, count: int) -> int:
    return int.from_bytes(data[start : start + count])
