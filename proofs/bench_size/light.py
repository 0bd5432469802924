"""Photographs in other light: how many sizes change, and whether the errors grow."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from PIL import Image

from proofs.bench_size.unseen import Answer, Unseen, answers, mean_errors_cm
from size_rec.calibration.changed_photographs import in_light, saved
from size_rec.pose.model import PoseModel
from size_rec.vocabulary import PictureRefused

GIRTHS = 3
"""Chest, waist and hip come first."""


def without_colour(photograph: Image.Image) -> bytes:
    """In grey."""
    return saved(photograph.convert("L").convert("RGB"))


LIGHTS: dict[str, Callable[[Image.Image], bytes]] = {
    "half as bright": partial(in_light, gains=(0.5, 0.5, 0.5)),
    "1.4 times as bright": partial(in_light, gains=(1.4, 1.4, 1.4)),
    "warm light": partial(in_light, gains=(1.15, 1.0, 0.72)),
    "grey": without_colour,
}


def print_light(these: Unseen, pose_model: PoseModel) -> None:
    """Print a row for every light."""
    as_they_are = answers(these, saved, pose_model)
    print("\nIn other light, cross-validated by body")
    print(f"{'':22}{'sizes changed':>14}{'refused':>9}{'mean change in cm':>20}{'error of chest, waist, hip':>30}")
    for label, light in LIGHTS.items():
        lit = answers(these, light, pose_model)
        both = [
            (one, other)
            for one, other in zip(as_they_are, lit, strict=True)
            if isinstance(one, Answer) and isinstance(other, Answer)
        ]
        changed = np.mean([one.size != other.size for one, other in both])
        moved = np.mean([np.abs(one.error_cm - other.error_cm)[:GIRTHS].mean() for one, other in both])
        refused = sum(isinstance(each, PictureRefused) for each in lit)
        print(f"{label:22}{changed:14.1%}{refused:9}{moved:20.2f}{_girths(lit):>30}")


def _girths(of: Sequence[Answer | PictureRefused]) -> str:
    return " ".join(f"{error:5.2f}" for error in mean_errors_cm(of)[:GIRTHS])
