"""A photograph's bytes → the one picture that is measured, whatever its resolution and whichever way it is mirrored."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from services.image_processor import load_rgb
from size_rec.pose import RgbArray

MEASURED_SIDE_PX = 512
"""The longer side of what the pose model gets; JPEGs are decoded at the reduced scale next above it. The model's own
input has 256 pixels over the figure and is sampled without smoothing, so a larger picture shows it nothing more, but
would give other numbers at other resolutions."""

GREEN = 1
"""The channel nearest to brightness."""


@dataclass(frozen=True)
class Picture:
    """What is measured: ``rgb`` (height, width, 3), and whether it is the ``mirrored`` photograph."""

    rgb: RgbArray
    mirrored: bool

    def mirror_image(self) -> "Picture":
        """The same, seen in a mirror."""
        # By Pillow: NumPy takes three times as long to reverse columns of three bytes.
        mirrored = Image.fromarray(self.rgb).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return Picture(np.asarray(mirrored), mirrored=not self.mirrored)


def prepare_picture(data: bytes) -> Picture:
    """Decode, shrink and turn to the canonical side.

    Raises:
        NotAnImage, ImageTooLarge: as ``services.image_processor.load_rgb``.
    """
    picture = Picture(np.asarray(load_rgb(data, MEASURED_SIDE_PX)), mirrored=False)
    return picture.mirror_image() if leans_left(picture.rgb) else picture


def leans_left(rgb: RgbArray) -> bool:
    """One of a picture and its mirror image leans left, the other does not (unless they are equal).

    The pose model sees a picture and its mirror image a little differently; measuring always the same one of the two
    makes the answer the same. The sign of the summed cubed steps of brightness along some rows changes with mirroring
    and depends neither on where in the picture the figure stands nor on an even border around it.
    """
    steps = np.diff(rgb[::4, :, GREEN].astype(np.int32), axis=1)
    return bool((steps * steps * steps).sum(dtype=np.int64) < 0)
