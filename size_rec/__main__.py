"""``python -m size_rec photo.jpg --height 175``: size one local photograph and draw what was measured on it."""

import argparse
import sys
from pathlib import Path

from models.failures import Failure
from models.size_rec import MAX_HEIGHT_CM, MAX_WEIGHT_KG, MIN_HEIGHT_CM, MIN_WEIGHT_KG
from size_rec.answer import chart_of, response_of
from size_rec.body.fitted import load_fitted
from size_rec.cli.chart_file import ChartUnusable, read_chart
from size_rec.cli.native_chatter import native_chatter_dropped
from size_rec.cli.overlay import draw_overlay
from size_rec.measuring import measure_picture
from size_rec.photo.picture import prepare_picture
from size_rec.pose.model import PoseModel
from size_rec.problems import problem_of
from size_rec.vocabulary import PictureRefused

EXIT_REFUSED = 65
"""EX_DATAERR (sysexits.h)."""

EXIT_NOT_SAVED = 73
"""EX_CANTCREAT (sysexits.h)."""


def main(arguments: list[str] | None = None) -> int:
    """Measure one photograph; returns the exit status."""
    asked = _parser().parse_args(arguments)
    try:
        chart = chart_of(read_chart(asked.chart) if asked.chart else None)
    except OSError as error:
        print(f"{asked.chart}: {error.strerror}", file=sys.stderr)  # noqa: T201 - a command's answer
        return EXIT_REFUSED
    except ChartUnusable as fault:
        print(f"{asked.chart}: {fault}", file=sys.stderr)  # noqa: T201 - a command's answer
        return EXIT_REFUSED
    try:
        picture = prepare_picture(asked.photo.read_bytes())
        with native_chatter_dropped():
            measured = measure_picture(
                picture,
                PoseModel(),
                load_fitted(),
                height_cm=asked.height,
                weight_kg=asked.weight,
                height_measured=asked.height_measured,
                chart=chart,
            )
    except OSError as error:
        print(f"{asked.photo}: {error.strerror}", file=sys.stderr)  # noqa: T201 - a command's answer
        return EXIT_REFUSED
    except (Failure, PictureRefused) as error:
        kind = problem_of(error)
        print(f"{kind.code}: {kind.detail}", file=sys.stderr)  # noqa: T201 - a command's answer
        return EXIT_REFUSED
    print(response_of(measured.advice).model_dump_json(indent=2))  # noqa: T201 - a command's answer
    drawing = asked.out or asked.photo.with_name(f"{asked.photo.stem}-measured.png")
    try:
        draw_overlay(measured).save(drawing)
    except (OSError, ValueError) as error:  # ValueError: the name's ending is no picture's
        problem = f"{drawing}: the drawing cannot be saved ({error}); name another place with --out photo.png"
        print(problem, file=sys.stderr)  # noqa: T201 - a command's answer
        return EXIT_NOT_SAVED
    print(f"What was measured: {drawing}", file=sys.stderr)  # noqa: T201 - a command's answer
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m size_rec", description="Size one photograph.")
    parser.add_argument("photo", type=Path, help="a front photo, head to feet, one person")
    parser.add_argument("--height", type=_between(MIN_HEIGHT_CM, MAX_HEIGHT_CM), required=True, metavar="CM")
    parser.add_argument("--height-measured", action="store_true", help="the height was measured, not only stated")
    parser.add_argument("--weight", type=_between(MIN_WEIGHT_KG, MAX_WEIGHT_KG), metavar="KG")
    parser.add_argument(
        "--chart",
        type=Path,
        metavar="CSV",
        help="the shop's own chart: columns size, chest_cm, waist_cm, hip_cm (or _in), any of the three; "
        "a line for each size, the smallest first",
    )
    parser.add_argument("--out", type=Path, help="where to save the picture (default: beside the photo)")
    return parser


class _between:  # noqa: N801 - reads as a phrase where it is used
    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = low, high

    def __call__(self, text: str) -> float:
        value = float(text)
        if not self._low <= value <= self._high:
            raise argparse.ArgumentTypeError(f"must be from {self._low:g} to {self._high:g}")
        return value


if __name__ == "__main__":
    raise SystemExit(main())
