"""[pure] The few SVG elements that a picture is made of."""

from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

Element = ET.Element

FONT: Final = "Inter, 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif"
CHARACTER_WIDTH: Final = 0.56
"""Of a font's size, on average; what is wider is cut."""


@dataclass(frozen=True, slots=True)
class Box:
    """A place in the picture, in pixels from its upper left corner."""

    x: float
    y: float
    width: float
    height: float


def picture(width: float, height: float, background: str) -> Element:
    """An empty picture."""
    root = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {number(width)} {number(height)}",
            "font-family": FONT,
        },
    )
    rectangle(root, Box(0, 0, width, height), background)
    return root


def rectangle(parent: Element, box: Box, fill: str, **more: str) -> None:
    """A filled one."""
    sides = {"x": number(box.x), "y": number(box.y), "width": number(box.width), "height": number(box.height)}
    ET.SubElement(parent, "rect", {**sides, "fill": fill, **_attributes(more)})


def text(parent: Element, foot: tuple[float, float], words: str, size: float, fill: str, **more: str) -> None:
    """One line of text, standing on ``foot``."""
    place = {"x": number(foot[0]), "y": number(foot[1]), "font-size": number(size), "fill": fill}
    ET.SubElement(parent, "text", {**place, **_attributes(more)}).text = words


def line(parent: Element, start: tuple[float, float], end: tuple[float, float], stroke: str, **more: str) -> None:
    """A straight one."""
    ends = {"x1": number(start[0]), "y1": number(start[1]), "x2": number(end[0]), "y2": number(end[1])}
    ET.SubElement(parent, "line", {**ends, "stroke": stroke, **_attributes(more)})


def polyline(parent: Element, points: list[tuple[float, float]], stroke: str) -> None:
    """A line through points."""
    path = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    ET.SubElement(parent, "polyline", {"points": path, "fill": "none", "stroke": stroke, "stroke-width": "1.5"})


def dot(parent: Element, x: float, y: float, fill: str) -> None:
    """A point that stands alone."""
    ET.SubElement(parent, "circle", {"cx": number(x), "cy": number(y), "r": "2", "fill": fill})


def fitted(words: str, size: float, width: float) -> str:
    """The words, cut where they would leave the width."""
    most = fitting(size, width)
    return words if len(words) <= most else f"{words[: most - 1].rstrip()}…"


def fitting(size: float, width: float) -> int:
    """How many characters fit."""
    return max(1, int(width / (size * CHARACTER_WIDTH)))


def width_of(words: str, size: float) -> float:
    """About how wide the words are."""
    return len(words) * size * CHARACTER_WIDTH


def number(value: float) -> str:
    """As short as a tenth of a pixel allows."""
    return f"{value:.1f}".removesuffix(".0")


def written(root: Element) -> str:
    """The file's text."""
    ET.indent(root, space="")
    return ET.tostring(root, encoding="unicode") + "\n"


def _attributes(more: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in more.items()}
