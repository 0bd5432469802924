"""[pure] Bars of one colour around a photograph - letterboxing, frames - told from what it shows.

Left in place they would change how the person is framed, and hide that a photograph ends at the ankles: the soles would
be taken for where the bar begins.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Levels = NDArray[np.int16]

Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels."""

LEFT, TOP, RIGHT, BOTTOM = range(4)

EVEN_LEVELS = 1
"""Of 255: by how much the pixels of a bar may differ from its colour. JPEG keeps an even area even; walls are not."""
CONTENT_LEVELS = 8
"""Of 255: by more than this the photograph's pixels differ from the bar."""
SEAM_PX = 16
"""How far JPEG carries an edge into the even area beside it: a block of colour."""
STRAIGHT_SHARE = 0.9
"""Of all places along a side that have something further in, so many must have it within the seam: a photograph ends in
a straight line. People before an even wall do not: not at their heads, nor at the sides of a long coat."""
LENGTH_SHARE = 0.5
"""Of a side, so much must be the photograph's, and not the hem of a long dress. Of four thick bars those along the
photograph's longer side are found first; then the others end along the whole of theirs."""
BEGUN_SHARE = 0.5
"""Of the places that have something further in, so many have it where the photograph begins; before is JPEG's noise."""
RINGING = 0.35
"""Of the step from bar to photograph: the noise that JPEG puts beside it is less."""
MAX_STRANGE_SHARE = 0.02
"""Of these places, so many may show more than noise before the line: else it is shoes before the edge of a floor."""
LONGEST_BAR_SHARE = 0.75
"""Of what is left of the picture. A photograph in portrait on a screen in landscape has less than 0.4 on each side."""

SAMPLES = 64
"""Pixels of a line that are looked at."""
MAX_SIDE_PX = 10_000
"""Longer pictures are left whole: no camera makes them, and looking for bars would take more than decoding."""
MAX_ROUNDS = 4
"""Bars within bars: a letterboxed film on a screen within a frame has three."""


def content_box(image: Image.Image) -> Box:
    """The part of a grey or colour picture that is within its bars; all of it when there are none."""
    box: Box = (0, 0, *image.size)
    if max(image.size) <= MAX_SIDE_PX:
        for _ in range(MAX_ROUNDS):
            within = _without_outermost(image, box)
            if within == box:
                break
            box = within
    return box


def _without_outermost(image: Image.Image, box: Box) -> Box:
    left, top, right, bottom = box
    top += _bar_px(image, (left, top, right, bottom), TOP)
    bottom -= _bar_px(image, (left, top, right, bottom), BOTTOM)
    left += _bar_px(image, (left, top, right, bottom), LEFT)
    right -= _bar_px(image, (left, top, right, bottom), RIGHT)
    return left, top, right, bottom


def _bar_px(image: Image.Image, box: Box, side: int) -> int:
    """How thick the bar at a side of the box is; 0 for none."""
    outermost = _lines_inwards(image, box, side, 1)
    colour = np.median(outermost[0], axis=0).astype(np.int16)
    if _levels_apart(outermost, colour).max() > EVEN_LEVELS:
        return 0
    across = box[2] - box[0] if side in (LEFT, RIGHT) else box[3] - box[1]
    apart = _levels_apart(_lines_inwards(image, box, side, max(1, int(LONGEST_BAR_SHARE * across))), colour)
    content = apart > CONTENT_LEVELS
    seam = int((apart.max(axis=1) > EVEN_LEVELS).argmax())
    first_lines = content[seam : seam + SEAM_PX]
    places, begun_places = np.count_nonzero(content.any(axis=0)), np.count_nonzero(first_lines.any(axis=0))
    if begun_places <= max(STRAIGHT_SHARE * places, LENGTH_SHARE * SAMPLES):
        return 0
    begun = np.count_nonzero(first_lines, axis=1) > BEGUN_SHARE * places
    if not begun.any():
        return 0
    edge = seam + int(begun.argmax())
    noise = max(CONTENT_LEVELS, RINGING * float(np.median(apart[edge][content[edge]])))
    strange = np.count_nonzero((apart[seam:edge] > noise).any(axis=0))
    return edge if strange <= MAX_STRANGE_SHARE * places else 0


def _levels_apart(lines: Levels, colour: Levels) -> Levels:
    apart: Levels = np.abs(lines - colour).max(axis=2)
    return apart


def _lines_inwards(image: Image.Image, box: Box, side: int, count: int) -> Levels:
    """(lines, samples, channels): the ``count`` lines along a side, the outermost first."""
    left, top, right, bottom = box
    part = {
        LEFT: (left, top, left + count, bottom),
        TOP: (left, top, right, top + count),
        RIGHT: (right - count, top, right, bottom),
        BOTTOM: (left, bottom - count, right, bottom),
    }[side]
    rows = side in (TOP, BOTTOM)
    sampled = image.resize((SAMPLES, count) if rows else (count, SAMPLES), Image.Resampling.NEAREST, box=part)
    pixels = np.atleast_3d(np.asarray(sampled, dtype=np.int16))
    lines = pixels if rows else pixels.swapaxes(0, 1)
    return lines[::-1] if side in (RIGHT, BOTTOM) else lines
