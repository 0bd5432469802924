"""[pure] What of a picture the networks get to see: the whole of it, or a square around a person.

The same photograph moved, padded or resized is answered the more alike, the more alike it is sampled: at exactly the
same places of the body the answer is the same to 0.03 cm, a hundredth of the side beside them it differs by 0.4 cm. So
the square around a person follows from those of the detector's points that are calm, and pictures are made smaller by
averaging (ADR 0105).
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
"""The detector's points: the middle of the hips and of the shoulders, and for each of them one on the circle around it
that holds the body (the head and trunk)."""

DISTANCES = ((HIPS, BODY_EDGE), (SHOULDERS, TRUNK_EDGE), (HIPS, SHOULDERS))
SIDE_OVER_DISTANCE = np.array([2.43, 3.33, 4.40])
"""The circle and a fifth more; the other two stand for the same length, as the mean over the rendered bodies.
MediaPipe takes the first alone, and a quarter more (``pose_detection_to_roi.pbtxt``). A seventh to a third gives the
same errors."""
WEIGHTS = np.array([0.2, 0.4, 0.4])
"""Moved by a few pixels, a photograph gives a first distance that differs by 2.6 % on average, and others that differ
by 1.6 % independently; together it is 1.4 %."""
ENLARGING = 1.15
"""For the few whose points lie closer together than is usual for their length."""
MIN_SIDE_PX = 16
"""Of a square: whoever is smaller is a speck."""
CENTER_BELOW_SHOULDERS = 0.24
"""Of the side: about the middle of the hips, where MediaPipe has it; but the shoulders' middle is twice as calm."""


@dataclass(frozen=True)
class Square:
    """An upright square in pixels of a picture; it may reach beyond the picture."""

    center: FloatArray
    side: float

    @property
    def corner(self) -> FloatArray:
        """The upper left one, (x, y)."""
        corner: FloatArray = self.center - self.side / 2
        return corner

    def enlarged(self) -> "Square":
        """The next larger one, for a person who does not fit."""
        return Square(self.center, ENLARGING * self.side)

    @property
    def sample_px(self) -> float:
        """How many pixels of the picture a sample covers in each direction."""
        return self.side / SAMPLES


@dataclass(frozen=True)
class CutOut:
    """What a picture shows of a square, sampled: ``rgb`` (rows, columns, 3) and where in the square that lies."""

    square: Square
    rgb: RgbArray
    rows: slice
    columns: slice

    def whole(self) -> RgbArray:
        """The whole square; beyond the picture its border goes on, as in MediaPipe."""
        if self.rgb.shape[:2] == (SAMPLES, SAMPLES):
            return self.rgb
        above_below, beside = ((part.start, SAMPLES - part.stop) for part in (self.rows, self.columns))
        return np.pad(self.rgb, (above_below, beside, (0, 0)), mode="edge")

    def shown(self, mask: MaskArray) -> MaskArray:
        """The part of the square's ``mask`` that the picture shows."""
        return mask[self.rows, self.columns]

    def ends_too_early(self, mask: MaskArray) -> bool:
        """Whether the person on the shown ``mask`` goes on above or below the square, and the picture as well."""
        above, below = self.rows.start == 0, self.rows.stop == SAMPLES
        return bool((above and mask[0].max() > INSIDE) or (below and mask[-1].max() > INSIDE))

    @property
    def origin(self) -> FloatArray:
        """Where the shown part begins in the square, (x, y) in samples."""
        return np.array([self.columns.start, self.rows.start], dtype=np.float64)

    def in_picture(self, points: FloatArray) -> FloatArray:
        """(x, y) of the shown part in pixels of the picture; both count from a border, not from a pixel's middle."""
        return self.square.corner + (points + self.origin) * self.square.sample_px


@dataclass(frozen=True)
class Letterbox:
    """A whole picture within a square of :data:`WHOLE_SAMPLES`: how large it is there, (width, height), and where."""

    picture_size: tuple[int, int]
    size: tuple[int, int]
    offset: tuple[int, int]

    def in_picture(self, points: FloatArray) -> FloatArray:
        """(x, y) as shares of the square, in pixels of the picture."""
        inside = (points * WHOLE_SAMPLES - self.offset) / self.size
        in_picture: FloatArray = inside * self.picture_size
        return in_picture


def letterboxed(image: Image.Image) -> tuple[Float32Array, Letterbox]:
    """The whole picture as the detector wants it, (rows, columns, 3) from -1 to 1 with black around it; and where it
    lies there."""
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
    """Sample what ``image`` shows of ``square``, which has a side; ``None`` when that is nothing."""
    first = np.ceil(-square.corner / square.sample_px)
    last = np.floor((np.array(image.size) - square.corner) / square.sample_px)
    left, top = np.clip(first, 0, SAMPLES).astype(int).tolist()
    right, bottom = np.clip(last, 0, SAMPLES).astype(int).tolist()
    if left >= right or top >= bottom:
        return None
    corners = square.corner + np.array([(left, top), (right, bottom)]) * square.sample_px
    box = tuple(corners.clip(0, image.size).ravel().tolist())  # rounding may put them a hair beyond the picture
    part = image.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box=box)
    return CutOut(square, np.asarray(part), slice(top, bottom), slice(left, right))


def as_input(rgb: RgbArray) -> Float32Array:
    """The samples as the landmark network wants them, from 0 to 1."""
    return rgb * np.float32(1 / 255)


def square_of_points(points: FloatArray) -> Square:
    """The square around a person, from the detector's four points (x, y) in pixels of the picture."""
    apart = [float(np.hypot(*(points[one] - points[other]))) for one, other in DISTANCES]
    side = float(np.sum(WEIGHTS * SIDE_OVER_DISTANCE * apart))
    return Square(points[SHOULDERS] + (0.0, CENTER_BELOW_SHOULDERS * side), side)
