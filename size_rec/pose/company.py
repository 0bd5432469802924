"""[pure] Tells from a close-up of a trunk whether somebody else is held before it: a child on the arm.

In the whole picture such a child is too small for the detector, and too near to the adult. In a close-up of the
trunk, without the adult's own head, it finds nine in ten. It also marks places on the adult, most of all when the
face is covered; those are told by where the box has its shoulders and by how long its trunk is (ADR 0140).
"""

from typing import Final

import numpy as np
from PIL import Image

from size_rec.pose.detection import likely_boxes
from size_rec.pose.framing import HIPS, SHOULDERS, WHOLE_SAMPLES, Square
from size_rec.pose.pose import Float32Array, FloatArray

SIDE_OVER_TRUNK: Final = 1.3
"""Side of the close-up over the trunk's height, shoulders to hips."""
CENTER_BELOW_SHOULDERS: Final = 0.4
"""Distance of the close-up's center below the shoulders, over the trunk's height: it begins at the chin."""
MIN_LOGIT: Final = 0.2
"""Of 558 pictures of adults alone, stretched and in other light among them, none has a higher one on somebody else; of
those who cover the face, 2 to 6 in a hundred before the second look."""
MIN_SHOULDERS_APART: Final = 0.2
"""Boxes whose shoulders are nearer to the adult's, over the trunk's height, are the adult's own."""
TRUNKS: Final = (0.3, 0.95)
"""How long somebody else's trunk may be, over the adult's."""
MIN_UPRIGHTNESS: Final = 0.8
"""Cosine between such a trunk and the vertical."""


def trunk_square(shoulders: FloatArray, hips: FloatArray) -> Square:
    """The close-up of a trunk, from the middles of shoulders and hips in pixels of the picture."""
    height = float(hips[1] - shoulders[1])
    return Square(shoulders + np.array([0.0, CENTER_BELOW_SHOULDERS * height]), SIDE_OVER_TRUNK * height)


def close_up(image: Image.Image, square: Square) -> Float32Array:
    """The detector's input: the square of an RGB picture, (rows, columns, 3) from -1 to 1; black outside it."""
    box = (*square.corner.tolist(), *(square.corner + square.side).tolist())
    size = (WHOLE_SAMPLES, WHOLE_SAMPLES)
    part = image.transform(size, Image.Transform.EXTENT, box, Image.Resampling.BILINEAR)
    return np.asarray(part) * np.float32(2 / 255) - np.float32(1)


def shows_another(boxes: Float32Array, logits: Float32Array) -> bool:
    """Whether one of the boxes in a :func:`trunk_square` is somebody else's, who is smaller and upright.

    Args:
        boxes, logits: the detector's answer, as in :func:`size_rec.pose.detection.noticed_people`.
    """
    from_adult = (likely_boxes(boxes, logits, MIN_LOGIT).points - _OWN_SHOULDERS) * SIDE_OVER_TRUNK
    shoulders, trunks = from_adult[:, SHOULDERS], from_adult[:, HIPS] - from_adult[:, SHOULDERS]
    lengths = np.hypot(*trunks.T)
    apart = np.hypot(*shoulders.T) > MIN_SHOULDERS_APART
    smaller = (lengths > TRUNKS[0]) & (lengths < TRUNKS[1])
    return bool((apart & smaller & (trunks[:, 1] > MIN_UPRIGHTNESS * lengths)).any())


_OWN_SHOULDERS: Final = np.array([0.5, 0.5 - CENTER_BELOW_SHOULDERS / SIDE_OVER_TRUNK])
"""Where a close-up has the middle of the adult's shoulders, as shares of its side."""
