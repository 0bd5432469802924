"""``python -m size_rec photo.jpg --height 175``: size one local photograph and draw what was measured on it."""

import argparse
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from models.failures import Failure
from models.size_rec import MAX_HEIGHT_CM, MAX_WEIGHT_KG, MIN_HEIGHT_CM, MIN_WEIGHT_KG
from size_rec.answer import chart_of, response_of
from size_rec.body.fitted import load_fitted
from size_rec.cli.chart_file import ChartUnusable, read_chart
from size_rec.cli.native_chatter import native_chatter_dropped
from size_rec.cli.overlay import draw_overlay
from size_rec.cli.plain_number import plain_number
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
    asked = _asked(arguments)
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


def _asked(arguments: list[str] | None) -> argparse.Namespace:
    parser = _parser()
    asked = parser.parse_args(arguments)
    for source in (asked.photo, asked.chart):
        if asked.out and source and _are_the_same(asked.out, source):
            parser.error(f"argument --out: the drawing would overwrite {source}; name another place")
    return asked


def _are_the_same(one: Path, other: Path) -> bool:
    """Whether both names lead to one file, by whatever links."""
    with suppress(OSError):  # one of them is not there
        return one.samefile(other)
    return False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m size_rec", description="Size one photograph.")
    parser.add_argument("photo", type=Path, help="a front photo, head to feet, one person")
    parser.add_argument(
        "--height",
        type=_between(MIN_HEIGHT_CM, MAX_HEIGHT_CM, such_as="175.5"),
        required=True,
        metavar="CM",
        help=f"without shoes, as the person states it: {MIN_HEIGHT_CM:g} to {MAX_HEIGHT_CM:g}, such as 175.5",
    )
    parser.add_argument("--height-measured", action="store_true", help="the height was measured, not only stated")
    parser.add_argument(
        "--weight",
        type=_between(MIN_WEIGHT_KG, MAX_WEIGHT_KG, such_as="70.5"),
        metavar="KG",
        help=f"makes the answer more exact: {MIN_WEIGHT_KG:g} to {MAX_WEIGHT_KG:g}, such as 70.5",
    )
    parser.add_argument(
        "--chart",
        type=Path,
        metavar="CSV",
        help="the shop's own chart: columns size, chest_cm, waist_cm, hip_cm (or _in), any of the three; "
        "a line for each size, the smallest first",
    )
    parser.add_argument("--out", type=Path, help="where to save the picture (default: beside the photo)")
    return parser


def _between(low: float, high: float, *, such_as: str) -> Callable[[str], float]:
    """How argparse reads a number from ``low`` to ``high``."""

    def read(text: str) -> float:
        with suppress(ValueError):
            if low <= (value := plain_number(text)) <= high:
                return value
        raise argparse.ArgumentTypeError(f"must be a number from {low:g} to {high:g}, such as {such_as}")

    return read


if __name__ == "__main__":
    raise SystemExit(main())
