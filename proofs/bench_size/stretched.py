"""Photographs stretched sideways: how many are refused, or answered with a range that holds the true size."""

from collections.abc import Callable, Sequence
from functools import partial

from PIL import Image

from proofs.bench_size.unseen import Answer, Unseen, answers, mean_errors_cm, unguarded
from size_rec.calibration.changed_photographs import stretched
from size_rec.pose.model import PoseModel
from size_rec.vocabulary import PictureRefused

FACTORS = (1.0, 0.75, 0.85, 1.15, 1.33)
GIRTHS = 3
"""Chest, waist and hip come first."""


def made_square(photograph: Image.Image) -> bytes:
    """As an uploader that fills a square does it."""
    return stretched(photograph, photograph.height / photograph.width)


def print_stretched(these: Unseen, pose_model: PoseModel) -> None:
    """Print a row for every factor, and one for photographs made square; beside each what it gets without the guard."""
    without_guard = unguarded(these)
    print("\nStretched sideways, cross-validated by body; *: without the stretch model")
    print(f"{'':10}{'refused':>9}{'or range holds':>16}{'*':>7}   {'error of chest, waist, hip':30}{'*':>17}")
    changes: dict[str, Callable[[Image.Image], bytes]] = {
        f"x {factor:.2f}": partial(stretched, factor=factor) for factor in FACTORS
    }
    for label, change in (changes | {"square": made_square}).items():
        guarded, bare = (answers(each, change, pose_model) for each in (these, without_guard))
        refused = sum(isinstance(each, PictureRefused) for each in guarded) / len(guarded)
        print(
            f"{label:10}{refused:9.1%}{_served(guarded):16.1%}{_served(bare):7.0%}   "
            f"{_girths(guarded):30}{_girths(bare):>17}"
        )


def _served(of: Sequence[Answer | PictureRefused]) -> float:
    return sum(isinstance(each, PictureRefused) or each.range_holds for each in of) / len(of)


def _girths(of: Sequence[Answer | PictureRefused]) -> str:
    return " ".join(f"{error:5.2f}" for error in mean_errors_cm(of)[:GIRTHS])
