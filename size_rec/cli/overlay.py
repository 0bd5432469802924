"""Draws what was measured onto the photograph: the silhouette, the landmarks, the measured lines."""

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from size_rec.cli.panel import PANEL, panel_of
from size_rec.measuring import Measured
from size_rec.outline.silhouette import ARMS, LEGS
from size_rec.pose.pose import INSIDE, BoolArray, FloatArray, Joint, RgbArray

TINT = (64, 160, 255)
TINT_SHARE = 0.35
DIMMED = 0.55
"""Brightness of everything that is not the person."""
LINE = (255, 220, 60)
BONE = (255, 255, 255)
DOT = (255, 70, 70)
ENLARGED = 2
"""The measured picture is small; lines and dots are drawn on an enlarged one."""
STROKE_PX, DOT_PX = 2, 4
MIDDLE_OF_PIXEL = 0.5
"""Outlines are measured from the middle of the mask's first pixel."""
CROWN_LINE_SHARE = 0.2
"""Half the length of the lines at crown and soles, as a share of the figure's height."""


def draw_overlay(measured: Measured) -> Image.Image:
    """The photograph as it was measured with everything drawn on it, and a panel with the answer to its right."""
    picture = measured.picture.image
    enlarged = picture.resize((ENLARGED * picture.width, ENLARGED * picture.height), Image.Resampling.BICUBIC)
    drawing = Image.fromarray(_tinted(np.asarray(enlarged), _silhouette(measured, enlarged.size)))
    draw = ImageDraw.Draw(drawing)
    _draw_bones(draw, measured)
    _draw_lines(draw, measured)
    if measured.picture.mirrored:
        drawing = ImageOps.mirror(drawing)
    panel = panel_of(measured)
    sheet = Image.new("RGB", (drawing.width + panel.width, max(drawing.height, panel.height)), PANEL)
    sheet.paste(drawing, (0, 0))
    sheet.paste(panel, (drawing.width, 0))
    return sheet


def drawn_at(measured: Measured, points: FloatArray) -> FloatArray:
    """Where points of the mask (..., 2) are on the drawing, before it is mirrored."""
    return ENLARGED * measured.cut_out.in_picture(points)


def _silhouette(measured: Measured, size: tuple[int, int]) -> BoolArray:
    """Which pixels of the drawing show the person."""
    mask = measured.pose.mask
    left, top = drawn_at(measured, np.zeros(2)).round().astype(int).tolist()
    right, bottom = drawn_at(measured, np.array(mask.shape[::-1])).round().astype(int).tolist()
    part = Image.fromarray(mask).resize((right - left, bottom - top), Image.Resampling.BILINEAR)
    whole = Image.new("F", size)
    whole.paste(part, (left, top))
    return np.asarray(whole) > INSIDE


def _tinted(rgb: RgbArray, person: BoolArray) -> RgbArray:
    tinted = rgb * (1 - TINT_SHARE) + np.array(TINT) * TINT_SHARE
    result: RgbArray = np.where(person[..., None], tinted, rgb * DIMMED).astype(np.uint8)
    return result


def _draw_bones(draw: ImageDraw.ImageDraw, measured: Measured) -> None:
    points = drawn_at(measured, measured.pose.landmarks[:, :2])
    sides = ((Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER), (Joint.LEFT_HIP, Joint.RIGHT_HIP))
    chains = [*ARMS, *LEGS, *sides, *zip(sides[0], sides[1], strict=True)]
    for chain in chains:
        draw.line([tuple(points[joint]) for joint in chain], fill=BONE, width=STROKE_PX)
    for x, y in points:
        draw.ellipse((x - DOT_PX, y - DOT_PX, x + DOT_PX, y + DOT_PX), fill=DOT)


def _draw_lines(draw: ImageDraw.ImageDraw, measured: Measured) -> None:
    features, extent = measured.features, measured.features.extent
    center = measured.pose.middle(Joint.LEFT_HIP, Joint.RIGHT_HIP)[0]
    reach = CROWN_LINE_SHARE * extent.height
    heights = [[(center - reach, row), (center + reach, row)] for row in (extent.crown, extent.soles)]
    lines = np.concatenate([features.torso.ends, features.legs.ends, features.arms.ends.reshape(-1, 2, 2), heights])
    for ends in drawn_at(measured, lines[np.isfinite(lines).all(axis=(1, 2))] + MIDDLE_OF_PIXEL):
        draw.line([tuple(end) for end in ends], fill=LINE, width=STROKE_PX)
