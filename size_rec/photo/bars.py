"""[pure] Finds bars of one colour around a photograph (letterboxing, frames), so that they can be cut off.

Bars would change how the person is framed. They would also hide that a photograph ends at the ankles: the edge of the
bar would be taken for the soles.

Terms: a *place* is one of the sampled positions along a side. *Content* is a pixel that differs from the bar's colour.
The *edge* is the line where the bar ends and the photograph begins.
"""

from functools import reduce

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Levels = NDArray[np.int16]

Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels."""

LEFT, TOP, RIGHT, BOTTOM = range(4)

EVEN_LEVELS = 1
"""Largest difference (of 255) of a bar's pixels from its colour. JPEG keeps an even area even; a wall is less even."""
CONTENT_LEVELS = 8
"""A pixel is content when it differs from the bar's colour by more than this (of 255)."""
SEAM_PX = 16
"""Width of the zone beside the edge in which JPEG leaves noise: one block of the colour channels."""
STRAIGHT_SHARE = 0.9
"""Share of the places with content that must have it within the seam: a photograph ends in a straight line. A person
before an even wall does not, neither at the head nor at the sides of a long coat."""
LENGTH_SHARE = 0.5
"""Share of a side that the edge must cover, so that the hem of a long dress is not taken for it. With four thick bars,
those along the photograph's longer side are found first; after that the others end along their whole side."""
EDGE_SHARE = 0.5
"""The edge is the first line on which this share of the places with content have it. What differs from the bar before
that line is JPEG noise."""
JPEG_NOISE_SHARE = 0.35
"""Upper bound of JPEG noise beside the edge, as a share of the difference between bar and photograph."""
MAX_BEYOND_NOISE_SHARE = 0.02
"""Share of the places that may show more than JPEG noise before the edge. More than that are shoes in front of the edge
of a floor, and the bar stays."""
LONGEST_BAR_SHARE = 0.75
"""Longest bar that is looked for, as a share of the picture that is left. A portrait photograph on a landscape screen
has bars of less than 0.4 on each side."""

SAMPLES = 64
"""Places along a side: the pixels of a line that are compared."""
MAX_SIDE_PX = 10_000
"""Pictures with a longer side keep their bars: no camera makes them, and the search would take longer than decoding."""
MAX_ROUNDS = 4
"""How many nested bars are cut off: a letterboxed film on a screen within a frame has three."""


def content_box(image: Image.Image) -> Box:
    """The part of a grey or colour picture inside its bars; the whole picture when there are none."""
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
    """Thickness of the bar at one side of the box; 0 when there is none."""
    if _is_many_coloured(_sampled_inwards(image, box, side, 1)):
        return 0
    outermost = _lines_inwards(image, box, side, 1)
    colour = np.median(outermost[0], axis=0).astype(np.int16)
    if _levels_apart(outermost, colour).max() > EVEN_LEVELS:
        return 0
    across = box[2] - box[0] if side in (LEFT, RIGHT) else box[3] - box[1]
    apart = _levels_apart(_lines_inwards(image, box, side, max(1, int(LONGEST_BAR_SHARE * across))), colour)
    content = apart > CONTENT_LEVELS
    seam = int((apart.max(axis=1) > EVEN_LEVELS).argmax())
    seam_lines = content[seam : seam + SEAM_PX]
    places, seam_places = np.count_nonzero(content.any(axis=0)), np.count_nonzero(seam_lines.any(axis=0))
    if seam_places <= max(STRAIGHT_SHARE * places, LENGTH_SHARE * SAMPLES):
        return 0
    is_edge = np.count_nonzero(seam_lines, axis=1) > EDGE_SHARE * places
    if not is_edge.any():
        return 0
    edge = seam + int(is_edge.argmax())
    noise = max(CONTENT_LEVELS, JPEG_NOISE_SHARE * float(np.median(apart[edge][content[edge]])))
    beyond_noise = np.count_nonzero((apart[seam:edge] > noise).any(axis=0))
    return edge if beyond_noise <= MAX_BEYOND_NOISE_SHARE * places else 0


def _is_many_coloured(line: Image.Image) -> bool:
    """Whether some of its levels are too far apart to be near one colour; most borders of photographs are told by this,
    in a fraction of the time that comparing each place takes."""
    highest_and_lowest = np.array(line.getextrema()).reshape(-1, 2)
    return bool((highest_and_lowest[:, 1] - highest_and_lowest[:, 0] > 2 * EVEN_LEVELS).any())


def _levels_apart(lines: Levels, colour: Levels) -> Levels:
    """The largest difference of any channel: (lines, samples). Channel by channel, as NumPy takes ten times as long for
    the maximum over an axis of three."""
    first, *others = np.moveaxis(np.abs(lines - colour), 2, 0)
    return reduce(np.maximum, others, first)


def _lines_inwards(image: Image.Image, box: Box, side: int, count: int) -> Levels:
    """The ``count`` outermost lines along a side, outermost first; shape (lines, samples, channels)."""
    pixels = np.atleast_3d(np.asarray(_sampled_inwards(image, box, side, count), dtype=np.int16))
    lines = pixels if side in (TOP, BOTTOM) else pixels.swapaxes(0, 1)
    return lines[::-1] if side in (RIGHT, BOTTOM) else lines


def _sampled_inwards(image: Image.Image, box: Box, side: int, count: int) -> Image.Image:
    """The ``count`` outermost lines along a side, as they lie in the picture, at every place."""
    left, top, right, bottom = box
    part = {
        LEFT: (left, top, left + count, bottom),
        TOP: (left, top, right, top + count),
        RIGHT: (right - count, top, right, bottom),
        BOTTOM: (left, bottom - count, right, bottom),
    }[side]
    size = (SAMPLES, count) if side in (TOP, BOTTOM) else (count, SAMPLES)
    return image.resize(size, Image.Resampling.NEAREST, box=part)
