"""Draws what was measured onto the photograph: the silhouette, the landmarks, the measured lines, the answer."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

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
PANEL = (20, 24, 32)
TEXT = (240, 240, 240)
PANEL_WIDTH_PX = 330
ENLARGED = 2
"""The measured picture is small; lines and dots are drawn on an enlarged one."""
STROKE_PX, DOT_PX = 2, 4
MIN_PANEL_HEIGHT_PX = 400
SHORT_LABEL_CHARS = 10
"""Longer labels of a shop's own chart are written smaller, or the panel would cut them off."""
COLUMNS = ((175, "ra"), (190, "la"))
"""Where the panel's second and third column are, in pixels from its left border, and how they are aligned (Pillow's
anchors: right and left, by the ascender)."""
MIDDLE_OF_PIXEL = 0.5
"""Outlines are measured from the middle of the mask's first pixel."""
CROWN_LINE_SHARE = 0.2
"""Half the length of the lines at crown and soles, as a share of the figure's height."""

LABELS = {
    "chest_cm": "chest",
    "waist_cm": "waist",
    "hip_cm": "hip",
    "shoulder_cm": "shoulders",
    "inseam_cm": "inseam",
}


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
    sheet = Image.new("RGB", (drawing.width + PANEL_WIDTH_PX, max(drawing.height, MIN_PANEL_HEIGHT_PX)), PANEL)
    sheet.paste(drawing, (0, 0))
    _write_panel(ImageDraw.Draw(sheet), drawing.width + 20, measured)
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


def _write_panel(draw: ImageDraw.ImageDraw, left: int, measured: Measured) -> None:
    advice = measured.advice
    sizes = f"{advice.smallest} only" if advice.smallest == advice.largest else f"{advice.smallest} to {advice.largest}"
    lines = [
        (f"Size {advice.size}", 40 if len(advice.size) <= SHORT_LABEL_CHARS else 18),
        (f"{sizes}, confidence {advice.confidence:.0%}", 18),
        (f"{advice.body_type.value}", 18),
        *((note.value.replace("_", " "), 18) for note in advice.notes),
        ("", 12),
    ]
    for (name, value), spread in zip(advice.measurements_cm.items(), measured.estimate.spread_cm, strict=True):
        lines.append((f"{LABELS[name]}\t{value:.1f}\t± {spread:.1f} cm", 20))
    lines += [
        ("", 12),
        ("yellow: measured lines, crown, soles", 15),
        ("blue: the silhouette (mask)", 15),
        ("red: landmarks", 15),
    ]
    top = 20
    for text, size in lines:
        font = ImageFont.load_default(size)
        label, *columns = text.split("\t")
        draw.text((left, top), label, fill=TEXT, font=font)
        for column, (offset, anchor) in zip(columns, COLUMNS, strict=False):
            draw.text((left + offset, top), column, fill=TEXT, font=font, anchor=anchor)
        top += int(size * 1.5)
