"""[pure] Draws a plain face over a head, so that the pose model sees which way a person with a covered face looks.

The network tells front from back by the face: before a phone, a mask or a blurred face it often takes the person for
one seen from behind, and its joints go astray. With a drawn face in the place of the covered one it places them as
usual (ADR 0137). Nothing is measured on the face itself.
"""

from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw

from size_rec.pose.pose import FloatArray

FINER: Final = 8
"""The face is drawn so many times larger and shrunk by averaging, which gives it soft borders."""
WIDTH_OVER_HEIGHT: Final = 0.7
"""Of a face with its hair, crown to chin."""
MIN_HEIGHT_PX: Final = 4.0
"""A smaller face has no features left."""

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]

SKIN: Final[Colour] = (212, 165, 140)
SHAPES: Final[tuple[tuple[str, Box, Colour], ...]] = (
    ("rectangle", (0.0, 0.0, 1.0, 0.2), (70, 50, 40)),  # hair
    *(
        (shape, (middle - half_width, top, middle + half_width, bottom), colour)
        for middle in (0.3, 0.7)
        for shape, half_width, top, bottom, colour in (
            ("ellipse", 0.08, 0.44, 0.50, (245, 240, 235)),  # eye
            ("ellipse", 0.04, 0.43, 0.51, (40, 30, 25)),  # pupil
            ("rectangle", 0.10, 0.385, 0.405, (90, 60, 45)),  # eyebrow
        )
    ),
    ("rectangle", (0.44, 0.55, 0.56, 0.64), (190, 140, 118)),  # nose
    ("ellipse", (0.36, 0.74, 0.64, 0.79), (165, 80, 80)),  # mouth
)
"""What is drawn on the skin, in this order: left, top, right, bottom as shares of the face's width and height."""


@dataclass(frozen=True)
class FacePlace:
    """Where a face belongs: the middle of its upper border (x, y), and its height from crown to chin, in pixels."""

    crown: FloatArray
    height: float


def with_drawn_face(picture: Image.Image, place: FacePlace) -> Image.Image | None:
    """The picture with a face drawn there; ``None`` when the head is too small for one."""
    if place.height < MIN_HEIGHT_PX:
        return None
    width, height = round(WIDTH_OVER_HEIGHT * place.height), round(place.height)
    face, shape = _face(width, height)
    left, top = round(place.crown[0] - width / 2), round(place.crown[1])
    drawn = picture.copy()
    drawn.paste(face, (left, top), shape)
    return drawn


def _face(width: int, height: int) -> tuple[Image.Image, Image.Image]:
    """A face that fills so many pixels, and its oval as a mask."""
    fine = FINER * width, FINER * height
    face, oval = Image.new("RGB", fine, SKIN), Image.new("L", fine, 0)
    ImageDraw.Draw(oval).ellipse((0, 0, fine[0] - 1, fine[1] - 1), fill=255)
    draw = ImageDraw.Draw(face)
    for shape, (left, top, right, bottom), colour in SHAPES:
        box = (left * fine[0], top * fine[1], right * fine[0], bottom * fine[1])
        (draw.ellipse if shape == "ellipse" else draw.rectangle)(box, fill=colour)
    size = width, height
    return face.resize(size, Image.Resampling.BOX), oval.resize(size, Image.Resampling.BOX)
