"""An opened picture of any kind → upright 8-bit sRGB on white, no larger than asked, with as little work as possible.

The order saves the work: reduce the scale while decoding, cut, then resample, and only then convert colours and turn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from PIL import Image
from PIL.ExifTags import Base as ExifTag
from PIL.Image import Resampling, Transpose
from PIL.ImageFile import ImageFile

from services.images.colours import in_srgb, profile_of
from services.images.incomplete_pictures import mend
from services.images.opening import CODE_POINTS, MUST_DIFFER, SHOWN_BOX, WHOLE_ONLY
from services.images.resizing import Box, resized

ContentBox = Callable[[Image.Image], tuple[int, int, int, int]]
"""Finds what is to be kept of a decoded picture: grey, RGB or CMYK, as stored, that is not yet upright."""


@dataclass(frozen=True, slots=True)
class Shrinking:
    """How much care shrinking takes: ``oversampling`` is how much larger than the target a picture stays after the
    cheap, whole-number reduction and before the final one, which is done by ``resampling``."""

    oversampling: float
    resampling: Resampling


FOR_THE_EYE = Shrinking(1.25, Resampling.BICUBIC)
"""Measured on 8 and 12 megapixels: with 1.25 what the decoder's reduction costs (49 dB against a full decode) stays
below what the final JPEG costs; 2.0 doubles the processor time of a 12-megapixel photo. Where exactly half is wanted,
taking the decoder's half as it is would save 6 ms and cost 0.8 dB (docs/notes/0034-image-work.md). Bicubic is Pillow's
default for thumbnails; Lanczos takes half as long again for a difference lost in the JPEG."""

FOR_MEASURING = Shrinking(1.0, Resampling.BILINEAR)
"""As little as keeps lines in their place: the pose model looks at a quarter of a megapixel. A 12-megapixel photo takes
11 ms instead of 40."""

BAND_BYTES = 4 * 1024 * 1024
"""Size of the piece in which colours are converted before shrinking: a full-size second copy is never made."""

WHITE = (255, 255, 255)

_RESIZABLE_MODES = frozenset({"L", "RGB", "CMYK"})
"""Modes whose pixels may be averaged as they are; palettes, transparency, 1-bit and 16-bit are converted first."""

_SIXTEEN_BIT_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})
"""Grey of 16 bits, which Pillow would clip instead of scale when converting; PNG is the only format here with it."""

_TURN_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""EXIF orientation (tag 0x0112, CIPA DC-008 section 4.6.4) → what undoes it; Pillow's rotations are anticlockwise."""


def shrunken_rgb(
    picture: ImageFile,
    max_side_px: int,
    shrinking: Shrinking = FOR_THE_EYE,
    content_box: ContentBox | None = None,
    other: ImageFile | None = None,
    *,
    band_bytes: int = BAND_BYTES,
) -> Image.Image:
    """Decode ``picture`` to upright sRGB with at most ``max_side_px`` on its longer side; never enlarged.

    With a ``content_box`` only what is in it is kept. ``other`` is another completion of an incomplete file, by which
    the picture is mended. ``band_bytes`` has another value in tests only.

    Both must be fresh: opened and not yet decoded. They are closed, so that bitmaps are freed early, or returned.
    Raises what the decoder raises, and ``IncompletePicture`` if mending does not help.
    """
    target = _target_size(picture.size, max_side_px)
    enough = ceil(target[0] * shrinking.oversampling), ceil(target[1] * shrinking.oversampling)
    box = _load_reduced(picture, enough)
    if other is not None:
        _load_reduced(other, enough)
        mend(picture, other, must_differ=MUST_DIFFER in other.info)
        other.close()
    profile, orientation = _profile(picture), _orientation(picture)

    small: Image.Image = picture
    if box is None:
        small = _shown(picture)
        target = _target_size(small.size, max_side_px)
    if small.mode not in _RESIZABLE_MODES or small.has_transparency_data:
        factor = int(max(small.size) / max(target) / shrinking.oversampling)
        small, box = _rgb_in_bands(small, max(1, factor), band_bytes), None
        picture.close()
    content = None if content_box is None else content_box(small)
    if content is not None and content != (0, 0, *small.size):
        target = _target_size((content[2] - content[0], content[3] - content[1]), max_side_px)
        small, box = _reduced(small, content, target, shrinking.oversampling)
        picture.close()
    whole = box is None or box == (0, 0, *small.size)
    if small.size != target or not whole:
        small = resized(small, target, shrinking.resampling, box=box, reducing_gap=shrinking.oversampling)
        picture.close()
    upright = in_srgb(small, profile)
    turn = _TURN_UPRIGHT.get(orientation)
    return upright if turn is None else upright.transpose(turn)


def _shown(picture: ImageFile) -> Image.Image:
    """What is to be seen of a picture decoded in full. libheif may leave less of it than its header promised."""
    box: tuple[int, int, int, int] | None = picture.info.get(SHOWN_BOX)
    if box is None:
        return picture
    vars(picture).pop("_decoder", None)  # libavif's planes: beside the copy they would be more than decoding took
    shown = picture.crop(box)
    picture.close()
    return shown


def _reduced(
    image: Image.Image, content: tuple[int, int, int, int], target: tuple[int, int], oversampling: float
) -> tuple[Image.Image, Box]:
    """The content alone, cheaply reduced, and the box it fills. (Resampling with a box looks beyond its border.)"""
    width, height = content[2] - content[0], content[3] - content[1]
    factors = max(1, int(width / target[0] / oversampling)), max(1, int(height / target[1] / oversampling))
    return image.reduce(factors, content), (0, 0, width / factors[0], height / factors[1])


def _target_size(size: tuple[int, int], max_side_px: int) -> tuple[int, int]:
    scale = min(1.0, max_side_px / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _rgb_in_bands(picture: Image.Image, factor: int, band_bytes: int) -> Image.Image:
    """Convert to RGB on white and shrink by the whole number ``factor``, a band of rows at a time."""
    width, height = picture.size
    rgb = Image.new("RGB", (ceil(width / factor), ceil(height / factor)))
    band_rows = max(1, band_bytes // (4 * width * factor)) * factor  # whole blocks: bands leave no seams
    for top in range(0, height, band_rows):
        band = picture.crop((0, top, width, min(top + band_rows, height)))
        rgb.paste(_on_white(band).reduce(factor), (0, top // factor))
    return rgb


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BIT_MODES:
        image = image.point(lambda value: value * (1 / 256)).convert("L")
    if not image.has_transparency_data:
        return image.convert("RGB")
    with_alpha = image.convert("RGBA")
    white = Image.new("RGB", image.size, WHITE)
    white.paste(with_alpha, mask=with_alpha)
    return white


def _orientation(picture: ImageFile) -> int:
    """The orientation in the Exif block; a broken one is no reason to refuse a good picture.

    Not ``picture.getexif()``: where Exif says nothing, that takes the orientation out of XMP, which editors leave as it
    was when they turn the pixels.
    """
    exif = Image.Exif()
    try:
        exif.load(picture.info.get("exif") or b"")
        return int(exif.get(ExifTag.Orientation, 1))
    except Exception:  # the parser lets through whatever broken bytes make it stumble over
        return 1


def _profile(picture: ImageFile) -> bytes | None:
    """The colour profile, or one that says what the code points say."""
    profile: bytes | None = picture.info.get("icc_profile")
    colours = picture.info.get(CODE_POINTS)
    return profile if profile or colours is None else profile_of(colours)


def _load_reduced(picture: ImageFile, enough: tuple[int, int]) -> Box | None:
    """Decode at the smallest scale that is ``enough``; the box that the picture fills, if its decoder shrank it."""
    # A lossless JPEG: the decoder takes the order and fails when it is carried out.
    reduced = None if picture.info.get(WHOLE_ONLY) else picture.draft(None, enough)
    picture.load()
    return None if reduced is None else reduced[1]
