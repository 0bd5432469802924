"""The panel beside a measured photograph: the answer in words and numbers. Its font has Latin letters only."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from size_rec.measuring import Measured
from size_rec.vocabulary import SizeAdvice

PANEL: Final = (20, 24, 32)
TEXT: Final = (240, 240, 240)
WIDTH_PX: Final = 330
MARGIN_PX: Final = 20
TEXT_WIDTH_PX: Final = WIDTH_PX - 2 * MARGIN_PX
TITLE_PX, MEASURE_PX, WORDS_PX, LEGEND_PX, GAP_PX = 40, 20, 18, 15, 12
"""Sizes of the letters."""
LEAST_PX: Final = 4
"""Forty of the widest letters still fit at this size."""
LINE_HEIGHT: Final = 1.5
"""Of a line, as a multiple of its letters' size."""
COLUMNS: Final = ((175, "ra"), (190, "la"))
"""Where the second and third column are, in pixels from the first, and how they are aligned (Pillow's anchors: right
and left, by the ascender)."""

LABELS: Final = {
    "chest_cm": "chest",
    "waist_cm": "waist",
    "hip_cm": "hip",
    "shoulder_cm": "shoulders",
    "inseam_cm": "inseam",
}


class Line(NamedTuple):
    """One line of the panel; tabs lead to the next column. The letters have ``size_px``."""

    text: str
    size_px: int

    @property
    def height_px(self) -> int:
        """With the space to the next line."""
        return int(self.size_px * LINE_HEIGHT)


def panel_of(measured: Measured) -> Image.Image:
    """The panel, as high as its lines need."""
    lines = list(_lines(measured))
    panel = Image.new("RGB", (WIDTH_PX, 2 * MARGIN_PX + sum(line.height_px for line in lines)), PANEL)
    draw, top = ImageDraw.Draw(panel), MARGIN_PX
    for line in lines:
        font = ImageFont.load_default(line.size_px)
        label, *columns = line.text.split("\t")
        draw.text((MARGIN_PX, top), label, fill=TEXT, font=font)
        for column, (offset, anchor) in zip(columns, COLUMNS, strict=False):
            draw.text((MARGIN_PX + offset, top), column, fill=TEXT, font=font, anchor=anchor)
        top += line.height_px
    return panel


def _lines(measured: Measured) -> Iterator[Line]:
    advice = measured.advice
    yield fitting(f"Size {advice.size}", TITLE_PX)
    yield from range_lines(advice)
    yield Line(f"confidence {advice.confidence:.0%}", WORDS_PX)
    yield Line(advice.body_type.value, WORDS_PX)
    for note in advice.notes:
        yield Line(note.value.replace("_", " "), WORDS_PX)
    yield Line("", GAP_PX)
    for (name, value), spread in zip(advice.measurements_cm.items(), measured.estimate.spread_cm, strict=True):
        yield Line(f"{LABELS[name]}\t{value:.1f}\t± {spread:.1f} cm", MEASURE_PX)
    yield Line("", GAP_PX)
    for told in ("yellow: measured lines, crown, soles", "blue: the silhouette (mask)", "red: landmarks"):
        yield Line(told, LEGEND_PX)


def range_lines(advice: SizeAdvice) -> list[Line]:
    """The range of sizes: in one line, or each end in its own where the labels of a shop's chart are long."""
    if advice.smallest == advice.largest:
        return [fitting(f"{advice.smallest} only", WORDS_PX)]
    whole = f"{advice.smallest} to {advice.largest}"
    if _width_px(whole, WORDS_PX) <= TEXT_WIDTH_PX:
        return [Line(whole, WORDS_PX)]
    return [fitting(f"{advice.smallest} to", WORDS_PX), fitting(advice.largest, WORDS_PX)]


def fitting(text: str, size_px: int) -> Line:
    """The text in letters of this size, or in the largest smaller ones that fit into the panel."""
    sizes = range(size_px, LEAST_PX, -1)
    return Line(text, next((size for size in sizes if _width_px(text, size) <= TEXT_WIDTH_PX), LEAST_PX))


def _width_px(text: str, size_px: int) -> float:
    return ImageFont.load_default(size_px).getlength(text)
