"""A photograph's bytes → the one picture that is measured, whatever its resolution and whichever way it is mirrored."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from services.image_processor import load_rgb
from size_rec.pose import RgbArray

DECODED_SIDE_PX = 1024
"""Photographs are decoded at the reduced scale next above this (a 48-megapixel JPEG at an eighth)."""

MEASURED_SIDE_PX = 512
"""The longer side of what the pose model gets. Its own input has 256 pixels over the figure and is sampled without
smoothing, so a larger picture shows it nothing more, but would give other numbers at other resolutions."""

GREEN = 1
"""The channel nearest to brightness."""


@dataclass(frozen=True)
class Picture:
    """What is measured: ``rgb`` (height, width, 3), and whether it is the ``mirrored`` photograph."""

    rgb: RgbArray
    mirrored: bool


def prepare_picture(data: bytes) -> Picture:
    """Decode, shrink and turn to the canonical side.

    Raises:
        NotAnImage, ImageTooLarge: as ``services.image_processor.load_rgb``.
    """
    image = shrink(load_rgb(data, DECODED_SIDE_PX))
    rgb = np.asarray(image)
    if not leans_left(rgb):
        return Picture(rgb, mirrored=False)
    return Picture(np.asarray(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)), mirrored=True)


def shrink(image: Image.Image) -> Image.Image:
    """At most :data:`MEASURED_SIDE_PX` on the longer side; whole-number steps first, they are cheap."""
    scale = MEASURED_SIDE_PX / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=1.0)


def leans_left(rgb: RgbArray) -> bool:
    """One of a picture and its mirror image leans left, the other does not (unless they are equal).

    The pose model sees a picture and its mirror image a little differently; measuring always the same one of the two
    makes the answer the same. The sign of the summed cubed steps of brightness along some rows changes with mirroring
    and depends neither on where in the picture the figure stands nor on an even border around it.
    """
    steps = np.diff(rgb[::4, :, GREEN].astype(np.int32), axis=1)
    return bool((steps * steps * steps).sum(dtype=np.int64) < 0)
