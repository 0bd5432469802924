"""Hostile bytes → an opened picture that is safe to decode: format, pixels and memory judged from the header."""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from pillow_heif import HeifImageFile, register_heif_opener

from models.failures import Failure, ImageTooLarge, IncompletePicture, NotAnImage
from services.images import isobmff, jpeg_structure, png_structure
from services.images.colours import CodePoints
from services.images.incomplete_pictures import ends_early
from services.images.jpeg_structure import MAX_SCANS
from services.images.limits import DECODE_LIMITS, DecodeLimits
from services.images.webp import ScaledWebPFile, register_scaled_webp_opener

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "GIF")
"""What phones, browsers and shops produce; of MPO (several JPEGs in one file) the first. Nothing else is even tried:
Pillow's other decoders are little used and some start programs."""

PEAK_BYTES_PER_PIXEL = {"JPEG": 1, "PNG": 4, "GIF": 4, "AVIF": 14.5}
"""Peak memory of a decoder per pixel, measured with Pillow 13.0 on 10-megapixel pictures; of WebP's in
``services/images/webp.py``.

A baseline JPEG is decoded at reduced scale as it streams; the others hold the whole picture, some more than once. AVIF
takes 9 to 14 bytes depending on depth and chroma, but what its header says of them binds nobody: libavif decodes what
the file really holds. So it is the worst, and 512 MiB are 37 megapixels of AVIF, 30 with transparency.
"""

AVIF_ALPHA_BYTES_PER_PIXEL = 3
"""What an alpha plane adds."""

HEIC_BYTES_PER_PIXEL = {
    (False, 420): 8.35,
    (False, 422): 9.2,
    (False, 444): 10.6,
    (True, 420): 8.7,
    (True, 422): 15.0,
    (True, 444): 17.8,
}
"""Of pillow-heif 1.8 in tiles, by whether there are more than 8 bits and by chroma; libheif refuses a picture that is
not what its header says. 512 MiB are 64 megapixels as phones make them, and 30 of the most costly kind."""

HEIC_ALPHA_BYTES_PER_PIXEL = {False: 3.5, True: 5.2}
"""What an alpha plane adds."""

BITS_OF_A_BYTE = 8

LOSSLESS_JPEG_BYTES_PER_PIXEL = 5
"""There is no reduced scale for it: the whole picture is held."""

SCANNED_JPEG_BYTES_PER_PIXEL = 7
"""A JPEG in several scans keeps the coefficients of all components until its last one."""

FORMATS_OF_UNSURE_SIZE = frozenset({"AVIF"})
"""libavif decodes what the file really holds, up to 16384 by 16384, and then scales it to the size announced: a lie
costs up to 0.6 GB. libheif and libwebp refuse such files before decoding."""

WHOLE_ONLY = "wearon_whole_only"
"""Entry of a picture's ``info``: it can only be decoded at its full size, whatever its decoder promises."""

CODE_POINTS = "wearon_code_points"
"""Entry of a picture's ``info``: its colours, where they stand outside of an ICC profile."""

SHOWN_BOX = "wearon_shown_box"
"""Entry of a picture's ``info``: left, top, right and bottom of what its container wants to be seen, in pixels as
stored, before any turn (ISO/IEC 23000-22 section 7.3.6.7: clap, then irot, then imir); ``None`` for all. Only of AVIF,
where Pillow leaves it to its caller (findings/pillow-shows-what-an-avif-cut-away.sh); libheif's pictures are cut."""

MUST_DIFFER = "wearon_must_differ"
"""Entry of a picture's ``info``: as a completion of an incomplete file it proves something only if it differs."""

_CODED_PIXELS = "wearon_coded_pixels"
"""Entry of a picture's ``info``: how many libheif decodes before it cuts. The size is that of what is left."""

_TRANSPARENCY = "transparency"
"""Pillow's entry of a picture's ``info``: which sample is transparent, or what a palette has of it."""
_EIGHT_BITS_OF_SAMPLES = {2: 85, 4: 17, 16: 1 / 256}
"""A PNG's depth → what makes of its samples those that Pillow decodes. It leaves the transparent one as it was
(findings/pillow-loses-transparency-of-few-greys.sh)."""
_PNG_DEPTH_AT = 24

_SEVERAL_SCANS = "wearon_several_scans"
"""Entry of a picture's ``info``: it is a JPEG in several scans, progressive or one component after another; libjpeg
treats both alike."""

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

# Once, before any thread decodes. Without thumbnails: one that is just large enough would be decoded, and measured,
# instead of the picture.
Image.init()
register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
register_scaled_webp_opener()


@contextmanager
def open_picture(data: bytes, limits: DecodeLimits = DECODE_LIMITS) -> Iterator[ImageFile]:
    """Open ``data`` without decoding it, and close it in the end.

    Side data stays away from the decoder. What a decoder raises inside the ``with`` block, opening included, becomes
    ``NotAnImage`` or ``IncompletePicture``.

    Raises:
        NotAnImage: no picture in one of ``FORMATS``, or a broken one.
        IncompletePicture: it cannot be decoded, and the file is shorter than it says.
        ImageTooLarge: more than ``max_pixels``, or more than decoding in ``max_decode_bytes`` allows.
    """
    essence = _essence(data)
    try:
        with Image.open(io.BytesIO(essence.data), formats=FORMATS) as picture:
            _note_facts(picture, essence)
            _refuse_too_large(picture, limits)
            yield picture
    except (Failure, MemoryError):
        raise
    # Pillow's own limit on pixels lies above ours. It warns first; a warnings filter can turn that into an error.
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageTooLarge(limit=limits.max_pixels, unit="pixels") from None
    except _DECODER_ERRORS as error:
        if essence.ends_early or ends_early(data):
            raise IncompletePicture("the file ends too early") from error
        if isinstance(error, UnidentifiedImageError):
            raise NotAnImage("no picture in a supported format") from None
        raise NotAnImage("the picture is broken") from error


@dataclass(frozen=True, slots=True)
class _Essence:
    """A file without its side data, and what its structure says beyond what Pillow tells; ``ends_early`` if that is
    known by the way."""

    data: bytes
    colours: CodePoints | None = None
    jpeg: jpeg_structure.JpegFacts | None = None
    ends_early: bool = False
    aperture: isobmff.CleanAperture | None = None


def _essence(data: bytes) -> _Essence:
    if data.startswith(jpeg_structure.SIGNATURE):
        facts = jpeg_structure.read_facts(data, only_first_scan=True)
        if facts.keeps_coefficients and len(jpeg_structure.read_facts(data).scans) > MAX_SCANS:
            raise NotAnImage(f"more than {MAX_SCANS} scans")
        return _Essence(jpeg_structure.without_side_data(data), jpeg=facts)
    if data.startswith(png_structure.SIGNATURE):
        png = png_structure.essential_png(data)
        return _Essence(png.data, png.colours, ends_early=png.ends_early)
    if isobmff.is_isobmff(data):
        item = isobmff.primary_item(data)
        return _Essence(data, item.colours, aperture=item.aperture)
    return _Essence(data)


def _note_facts(picture: ImageFile, essence: _Essence) -> None:
    picture.info[CODE_POINTS] = essence.colours
    if picture.format == "AVIF" and essence.aperture is not None:
        picture.info[SHOWN_BOX] = essence.aperture.within(picture.size)
    if isinstance(picture, HeifImageFile):
        picture.info[_CODED_PIXELS] = _pixels_before_cutting(picture)
    if picture.format == "PNG" and picture.mode != "P" and _TRANSPARENCY in picture.info:
        picture.info[_TRANSPARENCY] = _as_decoded(picture.info[_TRANSPARENCY], essence.data[_PNG_DEPTH_AT])
    if essence.jpeg is not None:
        # The file in one piece: Pillow's own pieces of 64 KiB cost a twentieth of a large photo's decoding.
        picture.decodermaxblock = len(essence.data)
        picture.info[_SEVERAL_SCANS] = essence.jpeg.keeps_coefficients or "progressive" in picture.info
        picture.info[WHOLE_ONLY] = essence.jpeg.is_lossless


def _pixels_before_cutting(picture: HeifImageFile) -> int:
    """By libheif's own word, which nothing public hands on: what ``clap`` cuts has its size at the end of the entry."""
    frames: Any = picture._heif_file  # noqa: SLF001
    steps = frames[frames.primary_index]._c_image.transformations  # noqa: SLF001
    return max((step[-2] * step[-1] for step in steps if step[0] == "clap"), default=0)


def _as_decoded(sample: int | tuple[int, ...], depth: int) -> int | tuple[int, ...]:
    factor = _EIGHT_BITS_OF_SAMPLES.get(depth, 1)
    return int(sample * factor) if isinstance(sample, int) else tuple(int(level * factor) for level in sample)


def peak_decode_bytes(picture: ImageFile) -> int:
    """Estimate, from the header alone, of the memory decoding ``picture`` takes at its peak."""
    return int(_decoded_pixels(picture) * _peak_bytes_per_pixel(picture))


def _decoded_pixels(picture: ImageFile) -> int:
    coded_pixels: int = picture.info.get(_CODED_PIXELS, 0)
    return max(picture.width * picture.height, coded_pixels)


def _peak_bytes_per_pixel(picture: ImageFile) -> float:
    picture_format = picture.format or ""
    has_alpha = picture.mode == "RGBA"
    if isinstance(picture, ScaledWebPFile):
        return picture.peak_bytes_per_pixel
    if picture_format == "HEIF":
        is_deep = picture.info["bit_depth"] > BITS_OF_A_BYTE
        alpha = HEIC_ALPHA_BYTES_PER_PIXEL[is_deep] if has_alpha else 0
        return HEIC_BYTES_PER_PIXEL[is_deep, int(picture.info.get("chroma", 420))] + alpha
    if picture.info.get(WHOLE_ONLY):
        return LOSSLESS_JPEG_BYTES_PER_PIXEL
    if picture.info.get(_SEVERAL_SCANS):
        return SCANNED_JPEG_BYTES_PER_PIXEL
    alpha = AVIF_ALPHA_BYTES_PER_PIXEL if picture_format == "AVIF" and has_alpha else 0
    return PEAK_BYTES_PER_PIXEL[picture_format] + alpha


def _refuse_too_large(picture: ImageFile, limits: DecodeLimits) -> None:
    max_pixels = min(limits.max_pixels, int(limits.max_decode_bytes / _peak_bytes_per_pixel(picture)))
    if _decoded_pixels(picture) > max_pixels:
        raise ImageTooLarge(limit=max_pixels, unit="pixels")
