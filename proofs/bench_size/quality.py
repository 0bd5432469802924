"""Errors, sizes and refusals, each beside its reference."""

import json
import statistics
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus

import numpy as np
from PIL import Image

from proofs.bench_size.service import Reply
from size_rec.body.body_model import ANSWERED
from size_rec.body.model_file import MODEL_FILE, load_body_model
from size_rec.body.size_chart import SIZES
from size_rec.calibration.figures import Answered, Figures, answers_of, figures_of
from size_rec.calibration.fit import FOLDS, OutlineTable, cross_validate, tape_covariance_of
from size_rec.calibration.tables import TRUTH_COLUMNS
from size_rec.pose.model import PoseModel
from size_rec.pose.pose import Joint, Pose

NAIVE_MULTIPLIERS = {"chest_cm": ("shoulders", 2.15), "waist_cm": ("hips", 1.55), "hip_cm": ("hips", 1.95)}
"""The heuristic this project replaces: a joint distance times a constant, scaled by the landmarks' height."""


def print_errors(
    table: OutlineTable, ok: list[dict[str, str]], replies: list[Reply], pictures: list[Image.Image]
) -> None:
    """Print the errors, cross-validated and of the running service, beside the naive heuristic and the floor."""
    validation = cross_validate(tape_covariance_of(load_body_model()), table)
    unseen = figures_of(answers_of(validation, load_body_model().spread_factors))
    seen = figures_of(
        [_answered(row, reply) for row, reply in zip(ok, replies, strict=True) if reply.status == HTTPStatus.OK]
    )
    naive = _naive_errors(ok, pictures)
    floor = json.loads(MODEL_FILE.read_text(encoding="utf-8"))["about"]["floor_cm"]
    print(f"\nMean absolute error in cm, {len(ok)} photographs (cross-validated: {FOLDS} parts by body)")
    print(f"{'':12}{'cross-val.':>11}{'close-fit.':>11}{'loose':>8}{'service*':>10}{'naive':>8}{'floor**':>9}")
    for name in ANSWERED:
        groups = [unseen.error_cm[group][name] for group in ("all", "close_fitting", "loose")]
        naive_text = f"{naive[name]:8.2f}" if name in naive else f"{'-':>8}"
        floor_cm = floor.get({"waist_cm": "waist_navel_cm"}.get(name, name))
        floor_text = f"{floor_cm:9.2f}" if floor_cm else f"{'-':>9}"
        columns = f"{groups[0]:11.2f}{groups[1]:11.2f}{groups[2]:8.2f}{seen.error_cm['all'][name]:10.2f}"
        print(f"{name[:-3]:12}{columns}{naive_text}{floor_text}")
    print("*  the running service, whose model has seen these bodies: not a measure of quality")
    print("** ANSUR II, girths from sex, height and calliper breadths measured by hand; waist at the navel")
    print(f"\n{'':34}{'cross-val.':>11}{'service*':>10}")
    for label, value in (
        ("size exact", lambda figures: f"{figures.size_exact:.1%}"),
        ("size within one", lambda figures: f"{figures.size_within_one:.1%}"),
        ("size_range holds the true size", lambda figures: f"{figures.range_holds:.1%}"),
        ("size_range mean width (sizes)", lambda figures: f"{figures.range_width:.2f}"),
        ("confidence vs. error (Spearman)", lambda figures: f"{figures.confidence_rank_correlation:+.2f}"),
    ):
        _print_pair(label, value, unseen, seen)


def _print_pair(label: str, value: Callable[[Figures], str], unseen: Figures, seen: Figures) -> None:
    print(f"{label:34}{value(unseen):>11}{value(seen):>10}")


def _answered(row: dict[str, str], reply: Reply) -> Answered:
    answer = reply.body
    measures, bounds = answer["measurements"], answer["size_range"]
    assert isinstance(measures, dict)  # noqa: S101 - the service's own contract
    assert isinstance(bounds, dict)  # noqa: S101
    return Answered(
        estimate_cm=[measures[name] for name in ANSWERED],
        truth_cm=[float(row[TRUTH_COLUMNS[name]]) for name in ANSWERED],
        size=SIZES.index(str(answer["recommended_size"])),
        lower=SIZES.index(bounds["lower"]),
        upper=SIZES.index(bounds["upper"]),
        confidence=float(str(answer["confidence"])),
        loose=row["loose"] == "1",
    )


def _naive_errors(ok: list[dict[str, str]], pictures: list[Image.Image]) -> dict[str, float]:
    model = PoseModel()
    errors: dict[str, list[float]] = {name: [] for name in NAIVE_MULTIPLIERS}
    for row, picture in zip(ok, pictures, strict=True):
        found = model.find(picture)
        if found is not None:
            for name, (joints, factor) in NAIVE_MULTIPLIERS.items():
                width = _joint_width_cm(found.pose, joints, float(row["height_cm"]))
                errors[name].append(abs(factor * width - float(row[TRUTH_COLUMNS[name]])))
    return {name: statistics.fmean(values) for name, values in errors.items()}


def _joint_width_cm(pose: Pose, joints: str, height_cm: float) -> float:
    rows = pose.landmarks[:, 1]
    left, right = {
        "shoulders": (Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER),
        "hips": (Joint.LEFT_HIP, Joint.RIGHT_HIP),
    }[joints]
    return float(np.hypot(*(pose.point(left) - pose.point(right)))) * height_cm / float(rows.max() - rows.min())


def print_refusals(
    ok: list[dict[str, str]], replies: list[Reply], refuse: list[dict[str, str]], refused: list[Reply]
) -> None:
    """Print what was refused of the photographs to refuse and of those to answer."""
    right = sum(reply.status == HTTPStatus.UNPROCESSABLE_ENTITY for reply in refused)
    wrong = [row["file"] for row, reply in zip(ok, replies, strict=True) if reply.status != HTTPStatus.OK]
    reasons = Counter(
        f"{row['kind']}: {reply.body.get('code', 'answered')}" for row, reply in zip(refuse, refused, strict=True)
    )
    print(
        f"\nrefused of those to refuse {right}/{len(refuse)}; of those to answer {len(wrong)}/{len(ok)} {wrong or ''}"
    )
    print("  " + "\n  ".join(f"{reason} ({count})" for reason, count in sorted(reasons.items())))
