"""[pure] Prepares the inputs of the networks: the whole picture for the detector, a square around a person for the
landmark network.

A photograph that is shifted, padded or resized gets the same answer only if the body is sampled at the same positions:
at exactly the same ones the answers differ by 0.03 cm, shifted by a hundredth of the side by 0.4 cm. So the square is
computed from those of the detector's points that vary least, and pictures are shrunk by averaging (ADR 0105).
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from size_rec.pose.pose import INSIDE, Float32Array, FloatArray, MaskArray, RgbArray

SAMPLES = 256
"""Samples along each side of a square: the input of the landmark network."""

WHOLE_SAMPLES = 224
"""Samples along each side of the detector's input."""

HIPS, BODY_EDGE, SHOULDERS, TRUNK_EDGE = 0, 1, 2, 3
"""Indices of the detector's points: the middle of the hips, a point on the circle around it that contains the body, the
middle of the shoulders, and a point on the circle around it that contains head and trunk."""

DISTANCES = ((HIPS, BODY_EDGE), (SHOULDERS, TRUNK_EDGE), (HIPS, SHOULDERS))
SIDE_OVER_DISTANCE = np.array([2.43, 3.33, 4.40])
"""The square's side over each distance. By the first, the side is the circle's diameter and a fifth more; by the other
two it is the same length, on average over the rendered bodies. MediaPipe uses the first alone, with a quarter more
(``pose_detection_to_roi.pbtxt``). Margins from a seventh to a third give the same errors."""
WEIGHTS = np.array([0.2, 0.4, 0.4])
"""Weights of the three estimates of the side. When a photograph is shifted by a few pixels, the first distance changes
by 2.6 % on average and each of the others by 1.6 %, independently; the weighted mean changes by 1.4 %."""
ENLARGING = 1.15
"""Factor for people who do not fit: the points of a few are closer together than usual for their height."""
MIN_SIDE_PX = 16
"""Smallest side of a square in which a person is looked for."""
CENTER_BELOW_SHOULDERS = 0.24
"""Distance of the square's center below the middle of the shoulders, as a share of the side. That is about the middle
of the hips, which MediaPipe uses; the middle of the shoulders varies half as much."""


@dataclass(frozen=True)
class Square:
    """An upright square in pixels of a picture; it may reach beyond the picture."""

    center: FloatArray
    side: float

    @property
    def corner(self) -> FloatArray:
        """The upper left corner, (x, y)."""
        corner: FloatArray = self.center - self.side / 2
        return corner

    def enlarged(self) -> "Square":
        """A larger square, for a person who does not fit."""
        return Square(self.center, ENLARGING * self.side)

    @property
    def sample_px(self) -> float:
        """How many pixels of the picture a sample covers in each direction."""
        return self.side / SAMPLES


@dataclass(frozen=True)
class CutOut:
    """The part of a square inside the picture, sampled: ``rgb`` (rows, columns, 3) and its position in the square."""

    square: Square
    rgb: RgbArray
    rows: slice
    columns: slice

    def whole(self) -> RgbArray:
        """The whole square; outside the picture its border pixels are repeated, as in MediaPipe."""
        if self.rgb.shape[:2] == (SAMPLES, SAMPLES):
            return self.rgb
        above_below, beside = ((part.start, SAMPLES - part.stop) for part in (self.rows, self.columns))
        return np.pad(self.rgb, (above_below, beside, (0, 0)), mode="edge")

    def shown(self, mask: MaskArray) -> MaskArray:
        """The part of the square's ``mask`` inside the picture."""
        return mask[self.rows, self.columns]

    def ends_too_early(self, mask: MaskArray) -> bool:
        """Whether the person on the shown ``mask`` continues above or below the square, inside the picture."""
        above, below = self.rows.start == 0, self.rows.stop == SAMPLES
        return bool((above and mask[0].max() > INSIDE) or (below and mask[-1].max() > INSIDE))

    @property
    def origin(self) -> FloatArray:
        """Where the shown part begins in the square, (x, y) in samples."""
        return np.array([self.columns.start, self.rows.start], dtype=np.float64)

    def in_picture(self, points: FloatArray) -> FloatArray:
        """(x, y) of the shown part in pixels of the picture; both count from a border, not from a pixel's center."""
        return self.square.corner + (points + self.origin) * self.square.sample_px


@dataclass(frozen=True)
class Letterbox:
    """Size (width, height) and position of a whole picture within a square of :data:`WHOLE_SAMPLES`."""

    picture_size: tuple[int, int]
    size: tuple[int, int]
    offset: tuple[int, int]

    def in_picture(self, points: FloatArray) -> FloatArray:
        """Converts (x, y) from shares of the square to pixels of the picture."""
        inside = (points * WHOLE_SAMPLES - self.offset) / self.size
        in_picture: FloatArray = inside * self.picture_size
        return in_picture


def letterboxed(image: Image.Image) -> tuple[Float32Array, Letterbox]:
    """The detector's input: the whole picture, (rows, columns, 3) from -1 to 1, with black around it; and where in the
    input it lies."""
    scale = WHOLE_SAMPLES / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    left, top = (WHOLE_SAMPLES - width) // 2, (WHOLE_SAMPLES - height) // 2
    small = np.asarray(image.resize((width, height), Image.Resampling.BOX))
    pixels = np.zeros((WHOLE_SAMPLES, WHOLE_SAMPLES, 3), dtype=np.float32)
    pixels[top : top + height, left : left + width] = small
    pixels *= np.float32(2 / 255)
    pixels -= np.float32(1)
    return pixels, Letterbox(image.size, (width, height), (left, top))


def cut_out(image: Image.Image, square: Square) -> CutOut | None:
    """Sample the part of ``square`` inside ``image``; ``None`` when they do not overlap. The side must not be zero."""
    first = np.ceil(-square.corner / square.sample_px)
    last = np.floor((np.array(image.size) - square.corner) / square.sample_px)
    left, top = np.clip(first, 0, SAMPLES).astype(int).tolist()
    right, bottom = np.clip(last, 0, SAMPLES).astype(int).tolist()
    if left >= right or top >= bottom:
        return None
    corners = square.corner + np.array([(left, top), (right, bottom)]) * square.sample_px
    box = tuple(corners.clip(0, image.size).ravel().tolist())  # rounding errors may put them just outside the picture
    part = image.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box=box)
    return CutOut(square, np.asarray(part), slice(top, bottom), slice(left, right))


def as_input(rgb: RgbArray) -> Float32Array:
    """The landmark network's input: the samples from 0 to 1."""
    return rgb * np.float32(1 / 255)


def square_of_points(points: FloatArray) -> Square:
    """The square around a person, from the detector's four points (x, y) in pixels of the picture."""
    apart = [float(np.hypot(*(points[one] - points[other]))) for one, other in DISTANCES]
    side = float(np.sum(WEIGHTS * SIDE_OVER_DISTANCE * apart))
    return Square(points[SHOULDERS] + (0.0, CENTER_BELOW_SHOULDERS * side), side)
