"""Draws the sample garments: a T-shirt, trousers and a bag, flat on a plain ground as a shop shows them.

``python -m sandbox.pictures.garments`` writes them to ``sandbox/samples/``, each in another of the formats that shops
use: PNG with a transparent ground, JPEG, WebP. Nothing is random but the grain of the cloth.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFilter

SAMPLES: Final = Path(__file__).resolve().parents[1] / "samples"

WIDTH_PX: Final = 600
HEIGHT_PX: Final = 750
OVERSAMPLING: Final = 3
"""Drawn this much larger and then reduced: smooth edges, which Pillow's polygons do not have."""

CURVE_STEPS: Final = 24
"""Straight pieces per Bezier curve; at this size no corner is seen."""

GROUND: Final = (246, 245, 242)
LOSSY_QUALITY: Final = 88

Point = tuple[float, float]
"""x from the middle line, y from the top, both in widths of the picture (so y goes to 1.25)."""

Colour = tuple[int, int, int]


def t_shirt() -> Image.Image:
    """A Breton T-shirt on a transparent ground."""
    ink = _colour("#24365e")
    sleeve_angle = 32.0
    outline = _mirrored(
        [
            *_curve((0, 0.185), (0.07, 0.185), (0.115, 0.15), (0.128, 0.09)),
            *_curve((0.128, 0.09), (0.17, 0.105), (0.24, 0.125), (0.285, 0.16)),
            *_curve((0.285, 0.16), (0.36, 0.22), (0.43, 0.35), (0.465, 0.455)),
            *_curve((0.465, 0.455), (0.43, 0.49), (0.39, 0.515), (0.345, 0.53)),
            *_curve((0.345, 0.53), (0.32, 0.48), (0.29, 0.435), (0.262, 0.41)),
            *_curve((0.262, 0.41), (0.262, 0.65), (0.27, 0.9), (0.282, 1.13)),
            *_curve((0.282, 1.13), (0.18, 1.15), (0.09, 1.155), (0, 1.155)),
        ]
    )
    sleeve = [(0.285, 0.1), (0.52, 0.1), (0.52, 0.56), (0.3, 0.56), (0.262, 0.41)]
    cloth = _filled("#f4f0e6")
    for y in _steps(0.24, 1.12, 0.052):
        _stroke(cloth, _curve((-0.4, y - 0.012), (-0.15, y + 0.01), (0.15, y + 0.01), (0.4, y - 0.012)), ink, 0.02)
    sleeves = _filled("#f4f0e6")
    for y in _steps(0.0, 0.8, 0.052):
        _stroke(sleeves, [(-0.1, y), (0.9, y)], ink, 0.02)
    right = sleeves.rotate(sleeve_angle, center=_pixel((0.3, 0.3)), fillcolor=_colour("#f4f0e6"))
    for side in (right, right.transpose(Image.Transpose.FLIP_LEFT_RIGHT)):
        mask = _mask(sleeve) if side is right else _mask(_flipped(sleeve))
        cloth.paste(side, mask=mask)
    shoulder_seam = _curve((0.285, 0.16), (0.262, 0.24), (0.255, 0.33), (0.262, 0.41))
    hem = _curve((-0.282, 1.105), (-0.1, 1.132), (0.1, 1.132), (0.282, 1.105))
    _seams(cloth, [shoulder_seam, _flipped(shoulder_seam), hem], "#b9b3a4")
    collar = _mirrored([*_curve((0, 0.21), (0.092, 0.21), (0.142, 0.168), (0.158, 0.085)), (0.158, 0), (0, 0)])
    cloth.paste(_filled(ink), mask=_mask(collar))
    folds = [
        ([(-0.25, 0.43), (-0.13, 0.56), (-0.08, 0.72)], -34),
        ([(0.25, 0.43), (0.12, 0.58), (0.1, 0.75)], -34),
        ([(-0.2, 0.8), (-0.16, 0.95), (-0.2, 1.13)], -26),
        ([(0.16, 0.78), (0.2, 0.95), (0.16, 1.13)], -26),
        ([(0.0, 0.62), (0.02, 0.85), (-0.02, 1.12)], 24),
    ]
    return _sewn(cloth, outline, folds, inside=(_back_of_the_collar(), _colour("#cfc8b8")))


def trousers() -> Image.Image:
    """Jeans with ochre stitching on a plain ground."""
    thread = "#d29a4a"
    outline = _mirrored(
        [
            (0, 0.075),
            *_curve((0, 0.075), (0.06, 0.075), (0.12, 0.07), (0.178, 0.062)),
            *_curve((0.178, 0.062), (0.215, 0.17), (0.25, 0.3), (0.252, 0.43)),
            *_curve((0.252, 0.43), (0.258, 0.7), (0.248, 0.95), (0.236, 1.185)),
            *_curve((0.236, 1.185), (0.18, 1.2), (0.12, 1.2), (0.075, 1.192)),
            *_curve((0.075, 1.192), (0.065, 0.95), (0.045, 0.7), (0, 0.455)),
        ]
    )
    cloth = _twill("#3c5f8f", "#31507c")
    waistband = _curve((-0.19, 0.118), (-0.06, 0.132), (0.06, 0.132), (0.19, 0.118))
    _seams(cloth, [waistband, [(x, y + 0.008) for x, y in waistband]], thread, dashed=True)
    _stroke(cloth, [(x, y + 0.004) for x, y in waistband], _colour("#22395a"), 0.004)
    pocket = _curve((0.105, 0.13), (0.11, 0.2), (0.15, 0.235), (0.222, 0.235))
    outer_seam = [*_curve((0.2, 0.25), (0.232, 0.33), (0.238, 0.4), (0.238, 0.5)), (0.222, 1.17)]
    hem = _curve((0.08, 1.162), (0.12, 1.17), (0.18, 1.17), (0.24, 1.157))
    for line in (pocket, [(x - 0.008, y + 0.01) for x, y in pocket], hem, outer_seam):
        _seams(cloth, [line, _flipped(line)], thread, dashed=True)
    _seams(cloth, [[*_curve((0.045, 0.14), (0.05, 0.26), (0.045, 0.36), (0.0, 0.4))]], thread, dashed=True)
    _stroke(cloth, [(0, 0.135), (0, 0.455)], _colour("#22395a"), 0.005)
    for x in (-0.135, -0.055, 0.055, 0.135):
        _stroke(cloth, [(x, 0.068), (x, 0.132)], _colour("#2c4a74"), 0.02)
        _seams(cloth, [[(x - 0.006, 0.07), (x - 0.006, 0.13)], [(x + 0.006, 0.07), (x + 0.006, 0.13)]], thread)
    _dot(cloth, (0, 0.103), 0.016, "#8a5a2b")
    _dot(cloth, (0, 0.103), 0.011, "#d9a766")
    folds = [
        ([(0.15, 0.45), (0.155, 0.8), (0.15, 1.18)], 46),
        ([(-0.15, 0.45), (-0.155, 0.8), (-0.15, 1.18)], 46),
        ([(0.0, 0.44), (0.1, 0.4), (0.2, 0.39)], -34),
        ([(0.0, 0.44), (-0.1, 0.4), (-0.2, 0.39)], -34),
        ([(0.06, 0.72), (0.13, 0.745), (0.24, 0.73)], -26),
        ([(-0.06, 0.72), (-0.13, 0.745), (-0.24, 0.73)], -26),
    ]
    return _on_ground(_sewn(cloth, outline, folds))


def bag() -> Image.Image:
    """A checked canvas bag with leather handles on a plain ground."""
    leather = _colour("#9a5b2f")
    outline = _mirrored(
        [
            (0, 0.47),
            (0.335, 0.47),
            *_curve((0.335, 0.47), (0.35, 0.7), (0.36, 0.9), (0.365, 1.05)),
            *_curve((0.365, 1.05), (0.365, 1.1), (0.345, 1.11), (0.31, 1.112)),
            (0, 1.115),
        ]
    )
    cloth = _checked("#d8c9a3", "#b34a3c", "#3d5a4c")
    base = [(-0.5, 0.95), (0.5, 0.95), (0.5, 1.25), (-0.5, 1.25)]
    cloth.paste(_filled(leather), mask=_mask(base))
    _seams(cloth, [[(-0.4, 0.965), (0.4, 0.965)], [(-0.4, 0.505), (0.4, 0.505)]], "#efd9b4", dashed=True)
    for x in (-0.17, 0.17):
        patch = [(x - 0.032, 0.45), (x + 0.032, 0.45), (x + 0.032, 0.62), (x, 0.65), (x - 0.032, 0.62)]
        cloth.paste(_filled(leather), mask=_mask(patch))
        _seams(cloth, [[(x - 0.022, 0.48), (x - 0.022, 0.615), (x, 0.637), (x + 0.022, 0.615), (x + 0.022, 0.48)]],
               "#efd9b4", dashed=True)  # fmt: skip
        _dot(cloth, (x, 0.53), 0.014, "#6b5a2e")
        _dot(cloth, (x, 0.528), 0.011, "#e6c76a")
    folds = [
        ([(-0.3, 0.5), (-0.25, 0.75), (-0.3, 1.08)], -24),
        ([(0.05, 0.5), (0.0, 0.75), (0.06, 0.94)], 22),
        ([(0.27, 0.5), (0.3, 0.75), (0.26, 1.08)], -24),
    ]
    body = _sewn(cloth, outline, folds)
    arc = _curve((-0.17, 0.52), (-0.19, 0.0), (0.19, 0.0), (0.17, 0.52))
    handles = Image.new("RGBA", body.size)
    for lower, shade in ((-0.01, "#6f3f1f"), (0.02, "#9a5b2f")):  # the one behind, then the one in front
        line = [(x, y + lower) for x, y in arc]
        handle = Image.new("L", body.size)
        _stroke(handle, line, 255, 0.036)
        layer = _filled(shade)
        _seams(layer, [[(x * 0.955, y + 0.006) for x, y in line]], "#efd9b4", dashed=True)
        handles.paste(_soft_edges(layer, handle, 10), mask=handle)
    handles.alpha_composite(body)
    return _on_ground(handles)


GARMENTS: Final[dict[str, Callable[[], Image.Image]]] = {
    "t-shirt.png": t_shirt,
    "trousers.jpg": trousers,
    "bag.webp": bag,
}
"""File name in ``samples/`` and how it is drawn."""


def main() -> None:
    """Draw every garment anew."""
    for name, draw in GARMENTS.items():
        path = SAMPLES / name
        draw().resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.LANCZOS).save(path, quality=LOSSY_QUALITY, optimize=True)
        print(f"{path.relative_to(SAMPLES.parent.parent)}: {path.stat().st_size // 1000} kB")


# --- geometry -------------------------------------------------------------------------------------------------------


def _length(units: float) -> int:
    return round(units * WIDTH_PX * OVERSAMPLING)


def _pixel(point: Point) -> tuple[int, int]:
    return _length(0.5 + point[0]), _length(point[1])


def _curve(start: Point, first: Point, second: Point, end: Point) -> list[Point]:
    """A cubic Bezier curve as a chain of points."""

    def at(t: float) -> Point:
        weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
        points = (start, first, second, end)
        return (
            sum(weight * point[0] for weight, point in zip(weights, points, strict=True)),
            sum(weight * point[1] for weight, point in zip(weights, points, strict=True)),
        )

    return [at(step / CURVE_STEPS) for step in range(CURVE_STEPS + 1)]


def _flipped(points: Iterable[Point]) -> list[Point]:
    return [(-x, y) for x, y in points]


def _mirrored(right_half: Sequence[Point]) -> list[Point]:
    return [*right_half, *reversed(_flipped(right_half))]


def _steps(first: float, last: float, distance: float) -> list[float]:
    return [first + number * distance for number in range(int((last - first) / distance) + 1)]


def _back_of_the_collar() -> list[Point]:
    return _mirrored(
        [
            *_curve((0, 0.105), (0.05, 0.105), (0.1, 0.1), (0.128, 0.088)),
            *_curve((0.128, 0.088), (0.115, 0.15), (0.07, 0.187), (0, 0.187)),
        ]
    )


# --- cloth ----------------------------------------------------------------------------------------------------------


def _colour(text: str) -> Colour:
    red, green, blue = ImageColor.getrgb(text)[:3]
    return red, green, blue


def _filled(colour: str | Colour) -> Image.Image:
    return Image.new("RGB", (WIDTH_PX * OVERSAMPLING, HEIGHT_PX * OVERSAMPLING), colour)


def _twill(light: str, dark: str) -> Image.Image:
    """Denim: fine diagonal lines."""
    cloth = _filled(light)
    draw = ImageDraw.Draw(cloth)
    for x in range(-cloth.height, cloth.width, 9):
        draw.line((x, cloth.height, x + cloth.height, 0), fill=_colour(dark), width=4)
    return cloth


def _checked(ground: str, first: str, second: str) -> Image.Image:
    """A tartan: bands of two colours, thinned where the ground shows through, in both directions."""
    cloth = _filled(ground)
    for is_vertical in (False, True):
        bands = Image.new("L", cloth.size)
        lines = Image.new("L", cloth.size)
        for position in _steps(-0.5, 1.3, 0.14):
            for layer, centre, width in ((bands, position, 0.05), (lines, position + 0.07, 0.012)):
                ends = [(centre, 0.0), (centre, 1.3)] if is_vertical else [(-0.5, centre), (0.5, centre)]
                _stroke(layer, ends, 150, width)
        cloth.paste(_filled(first), mask=bands)
        cloth.paste(_filled(second), mask=lines)
    return cloth


def _mask(points: Iterable[Point]) -> Image.Image:
    mask = Image.new("L", (WIDTH_PX * OVERSAMPLING, HEIGHT_PX * OVERSAMPLING))
    ImageDraw.Draw(mask).polygon([_pixel(point) for point in points], fill=255)
    return mask


def _stroke(image: Image.Image, points: Sequence[Point], colour: Colour | int, width: float) -> None:
    ImageDraw.Draw(image).line(
        [_pixel(point) for point in points], fill=colour, width=max(1, _length(width)), joint="curve"
    )


def _dot(image: Image.Image, centre: Point, radius: float, colour: str) -> None:
    ImageDraw.Draw(image).circle(_pixel(centre), _length(radius), fill=_colour(colour))


def _seams(
    image: Image.Image, lines: Iterable[Sequence[Point]], colour: str, *, dashed: bool = False, width: float = 0.0032
) -> None:
    for line in lines:
        pieces = pairwise(line) if not dashed else _stitches(line)
        for start, end in pieces:
            _stroke(image, [start, end], _colour(colour), width)


def _stitches(line: Sequence[Point], stitch: float = 0.012, gap: float = 0.007) -> list[tuple[Point, Point]]:
    """The line cut into stitches of even length."""
    spots = [line[0]]
    step = 0.001
    for (x, y), (to_x, to_y) in pairwise(line):
        count = max(1, round(((to_x - x) ** 2 + (to_y - y) ** 2) ** 0.5 / step))
        spots += [(x + (to_x - x) * i / count, y + (to_y - y) * i / count) for i in range(1, count + 1)]
    length, period = round(stitch / step), round((stitch + gap) / step)
    return [(spots[i], spots[min(i + length, len(spots) - 1)]) for i in range(0, len(spots) - 1, period)]


def _soft_edges(image: Image.Image, mask: Image.Image, radius_px: int) -> Image.Image:
    """Darker towards the edge of ``mask``, which makes it look round."""
    depth = mask.filter(ImageFilter.GaussianBlur(radius_px)).point([130 + value * 125 // 255 for value in range(256)])
    return ImageChops.multiply(image, Image.merge("RGB", (depth,) * 3))


def _sewn(
    cloth: Image.Image,
    outline: Sequence[Point],
    folds: Iterable[tuple[Sequence[Point], int]],
    *,
    inside: tuple[Sequence[Point], Colour] | None = None,
) -> Image.Image:
    """``cloth`` cut along ``outline``, with grain, folds (a line and how much lighter it is) and soft edges."""
    neutral = 128
    relief = Image.new("L", cloth.size, neutral)
    for line, lighter in folds:
        _stroke(relief, line, neutral + lighter, 0.05)
    relief = relief.filter(ImageFilter.GaussianBlur(_length(0.022)))
    grain = Image.effect_noise(cloth.size, 26).filter(ImageFilter.GaussianBlur(1.2))
    shaped = ImageChops.soft_light(cloth, Image.merge("RGB", (relief,) * 3))
    shaped = ImageChops.soft_light(shaped, Image.merge("RGB", (grain,) * 3))
    mask = _mask(outline)
    shaped = _soft_edges(shaped, mask, _length(0.02))
    result = Image.new("RGBA", cloth.size)
    if inside is not None:
        result.paste(_filled(inside[1]), mask=_mask(inside[0]))
    result.paste(shaped, mask=mask)
    return result


def _on_ground(garment: Image.Image) -> Image.Image:
    """On a plain ground with a soft shadow."""
    ground = _filled(GROUND)
    shadow = (
        garment.getchannel("A")
        .filter(ImageFilter.GaussianBlur(_length(0.02)))
        .point([v * 90 // 255 for v in range(256)])
    )
    ground.paste(_filled((60, 58, 52)), (0, _length(0.012)), mask=shadow)
    ground.paste(garment, mask=garment)
    return ground


if __name__ == "__main__":
    main()
