"""A photograph's bytes → the one picture that is measured, whatever its resolution and whichever way it is mirrored."""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from services.images.processor import load_rgb
from size_rec.photo.bars import content_box
from size_rec.photo.light import evened_light, is_grey

MEASURED_SIDE_PX = 512
"""The longer side of what the pose model samples; JPEGs are decoded at the reduced scale next above it. The model's own
input has 256 samples over the figure and a quarter more, so a larger picture shows it nothing more."""

GREEN = 1
"""The channel nearest to brightness."""
BLURRED_ROWS, BLURRED_COLUMNS, STEP_PX = 4, 8, 4
"""What a step of brightness is between: means over so many pixels, so far apart."""


@dataclass(frozen=True)
class Picture:
    """What is measured: an RGB image, and whether it is the ``mirrored`` photograph. ``as_taken`` is the same image
    before its light was evened out; ``grey`` says that it has no colours."""

    image: Image.Image
    mirrored: bool
    as_taken: Image.Image | None = None
    grey: bool = False

    def mirror_image(self) -> "Picture":
        """The same, seen in a mirror."""
        return Picture(self.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), not self.mirrored, grey=self.grey)

    def in_its_own_light(self) -> "Picture":
        """The same as it was taken, where that is known."""
        return replace(self, image=self.as_taken or self.image)


def prepare_picture(data: bytes) -> Picture:
    """Decode, leave bars away, shrink, turn to the canonical side and even out the light.

    Raises:
        NotAnImage, IncompletePicture, ImageTooLarge: as ``services.images.processor.load_rgb``.
    """
    picture = Picture(load_rgb(data, MEASURED_SIDE_PX, content_box=content_box), mirrored=False)
    canonical = picture.mirror_image() if leans_left(picture.image) else picture
    taken = canonical.image
    return Picture(evened_light(taken), canonical.mirrored, as_taken=taken, grey=is_grey(taken))


def leans_left(image: Image.Image) -> bool:
    """Of an RGB picture. One of a picture and its mirror image leans left, the other does not (unless they are equal).

    The pose model sees a picture and its mirror image a little differently; measuring always the same one of the two
    makes the answer the same. The sign of the summed cubed steps of brightness changes with mirroring and does not
    depend on where in the picture the figure stands. The steps are between blurred places: of photographs sampled
    otherwise, one in a hundred changes its side; with steps from pixel to pixel one in ten did.
    """
    levels = np.asarray(image.getchannel(GREEN))
    height, width = levels.shape[0] // BLURRED_ROWS, levels.shape[1]
    rows = levels[: height * BLURRED_ROWS].reshape(height, BLURRED_ROWS, width).sum(axis=1, dtype=np.int32)
    sums = np.cumsum(np.pad(rows, ((0, 0), (1, 0))), axis=1, dtype=np.int32)
    blurred = sums[:, BLURRED_COLUMNS:] - sums[:, :-BLURRED_COLUMNS]
    steps = (blurred[:, STEP_PX:] - blurred[:, :-STEP_PX]).astype(np.int64)
    return bool((steps * steps * steps).sum() < 0)
