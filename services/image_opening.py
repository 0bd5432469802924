"""Hostile bytes → an opened picture that is safe to decode: format, pixels and memory judged from the header."""

import io
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from pillow_heif import register_heif_opener

from models.failures import Failure, ImageTooLarge, NotAnImage
from services.webp import ScaledWebPFile, register_scaled_webp_opener

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "GIF")
"""What phones, browsers and shops produce. MPO (two JPEGs in one file) opens as JPEG; nothing else is even tried:
Pillow's other decoders are little used and some start programs."""

MAX_PIXELS = 64_000_000
"""Phones make pictures of 48 to 50 megapixels; a decoded pixel takes four bytes."""

MAX_DECODE_BYTES = 512 * 1024 * 1024
"""Half of the container's 1 GiB: the most memory that decoding one picture may need at its peak."""

PEAK_BYTES_PER_PIXEL = {"JPEG": 1, "MPO": 1, "PNG": 4, "GIF": 4, "HEIF": 8, "AVIF": 11}
"""Peak memory of a decoder per pixel, measured with Pillow 13.0 and pillow-heif 1.8 on 12-megapixel pictures; of WebP's
in ``services/webp.py``.

A baseline JPEG is decoded at reduced scale as it streams; the others hold the whole picture, some more than once. So
512 MiB are 48 megapixels of AVIF, 41 of HEIC with transparency, 32 of animated WebP. Phones make JPEG, and HEIC without
transparency.
"""

SCANNED_JPEG_BYTES_PER_PIXEL = 7
"""A JPEG in several scans keeps the coefficients of all components until its last one."""

HEIF_ALPHA_BYTES_PER_PIXEL = 5
"""What an alpha plane adds."""

FORMATS_OF_UNSURE_SIZE = frozenset({"AVIF"})
"""libavif decodes what the file really holds, up to 16384 by 16384, and then scales it to the size announced: a lie
costs up to 0.6 GB. libheif and libwebp refuse such files before decoding."""

MAX_PROGRESSIVE_SCANS = 64
"""Encoders write about ten. Each scan walks over all coefficients, and an empty one takes a few bytes of file: ten
megabytes of them would keep a processor busy for an hour."""

_SEVERAL_SCANS = "wearon_several_scans"
"""Entry of a picture's ``info``: it is a JPEG in several scans, progressive or one component after another. libjpeg
decides it by the first scan (ITU-T T.81 section 4.8), and treats both alike."""

_JPEG_FORMATS = frozenset({"JPEG", "MPO"})

_JPEG_START_OF_SCAN, _JPEG_END_OF_IMAGE = 0xDA, 0xD9
_JPEG_LENGTH_BYTES = 2
"""After its marker a segment begins with its length; a scan's next byte says how many components are in it."""

_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
"""A marker that ends the image or is followed by a length; not stuffing, TEM, restart, start of image or fill bytes
(ITU-T T.81 table B.1)."""

_DECODER_ERRORS = (
    OSError,  # truncated data, and most of what Pillow itself finds
    SyntaxError,  # broken structure
    ValueError,
    EOFError,
    RuntimeError,  # libheif, libavif
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    struct.error,
)
"""What Pillow and its plugins let through on broken files: hostile bytes reach code that expects well-formed ones."""

# Once, before any thread decodes. Thumbnails stay on: a large enough one is decoded instead of the picture.
Image.init()
register_heif_opener(depth_images=False, aux_images=False)
register_scaled_webp_opener()


@contextmanager
def open_picture(data: bytes, *, max_pixels: int, formats: tuple[str, ...] = FORMATS) -> Iterator[ImageFile]:
    """Open ``data`` without decoding it, and close it in the end.

    What a decoder raises inside the ``with`` block, opening included, becomes ``NotAnImage``.

    Raises:
        NotAnImage: no picture in one of ``formats``, or a broken one.
        ImageTooLarge: more than ``max_pixels``, or more than decoding in ``MAX_DECODE_BYTES`` allows.
    """
    try:
        with Image.open(io.BytesIO(data), formats=formats) as picture:
            if _has_several_scans(picture, data):
                picture.info[_SEVERAL_SCANS] = True
            _refuse_too_large(picture, max_pixels)
            _refuse_endless_scans(picture, data)
            yield picture
    except (Failure, MemoryError):
        raise
    # Pillow's own limit on pixels lies above ours. It warns first; a warnings filter can turn that into an error.
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageTooLarge(limit=max_pixels, unit="pixels") from None
    except UnidentifiedImageError:
        raise NotAnImage("no picture in a supported format") from None
    except _DECODER_ERRORS as error:
        raise NotAnImage("the picture is broken or incomplete") from error


def peak_decode_bytes(picture: ImageFile) -> int:
    """Estimate, from the header alone, of the memory decoding ``picture`` takes at its peak."""
    return int(picture.width * picture.height * _peak_bytes_per_pixel(picture))


def _peak_bytes_per_pixel(picture: ImageFile) -> float:
    picture_format = picture.format or ""
    if isinstance(picture, ScaledWebPFile):
        return picture.peak_bytes_per_pixel
    if _SEVERAL_SCANS in picture.info:
        return SCANNED_JPEG_BYTES_PER_PIXEL
    alpha = HEIF_ALPHA_BYTES_PER_PIXEL if picture_format == "HEIF" and picture.mode == "RGBA" else 0
    return PEAK_BYTES_PER_PIXEL[picture_format] + alpha


def _refuse_too_large(picture: ImageFile, max_pixels: int) -> None:
    limit = min(max_pixels, int(MAX_DECODE_BYTES / _peak_bytes_per_pixel(picture)))
    if picture.width * picture.height > limit:
        raise ImageTooLarge(limit=limit, unit="pixels")


def _has_several_scans(picture: ImageFile, data: bytes) -> bool:
    if picture.format not in _JPEG_FORMATS:
        return False
    if "progressive" in picture.info:
        return True
    first_scan = next((end for marker, end in _jpeg_markers(data) if marker == _JPEG_START_OF_SCAN), len(data))
    components = data[first_scan + _JPEG_LENGTH_BYTES : first_scan + _JPEG_LENGTH_BYTES + 1]
    return components != bytes([len(picture.getbands())])


def _refuse_endless_scans(picture: ImageFile, data: bytes) -> None:
    if _SEVERAL_SCANS in picture.info:
        scans = 0
        for marker, _ in _jpeg_markers(data):
            scans += marker == _JPEG_START_OF_SCAN
            if scans > MAX_PROGRESSIVE_SCANS:
                raise NotAnImage(f"more than {MAX_PROGRESSIVE_SCANS} scans")


def _jpeg_markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Markers up to the end of the first image, each with where it ends.

    What lies inside segments (thumbnails, profiles) is stepped over.
    """
    match = _JPEG_MARKER.search(data)
    while match is not None and (marker := data[match.end() - 1]) != _JPEG_END_OF_IMAGE:
        yield marker, match.end()
        length = int.from_bytes(data[match.end() : match.end() + _JPEG_LENGTH_BYTES])
        match = _JPEG_MARKER.search(data, match.end() + length)
