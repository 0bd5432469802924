"""What the service would answer to changed photographs of bodies that none of its models has seen.

Everything is fitted anew for each part of the bodies, on photographs as they are; the changes are made to the
photographs that were left out.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from size_rec.body.body_model import ANSWERED
from size_rec.body.fitted import Fitted, load_fitted
from size_rec.body.size_chart import SIZES
from size_rec.body.stretch import StretchModel, StretchModels
from size_rec.calibration.changed_photographs import whole_photograph
from size_rec.calibration.figures import true_size
from size_rec.calibration.fit import OutlineTable, fit_body_model, split_by_body, tape_covariance_of
from size_rec.calibration.stretch import StretchTable, body_numbers, ridge
from size_rec.calibration.tables import TRUTH_COLUMNS
from size_rec.measuring import measure_picture
from size_rec.photo.picture import prepare_picture
from size_rec.pose.model import PoseModel
from size_rec.pose.pose import FloatArray, IndexArray
from size_rec.vocabulary import PictureRefused

Change = Callable[[Image.Image], bytes]
"""A photograph as it is to what somebody uploads."""


@dataclass(frozen=True)
class Unseen:
    """The photographs, and for each the models that have not seen its body."""

    rows: Sequence[dict[str, str]]
    photographs: Sequence[Image.Image]
    fitted: Sequence[Fitted]


@dataclass(frozen=True)
class Answer:
    """The answer to one photograph: sizes as indices, signed errors in cm in the order of ``ANSWERED``."""

    size: int
    range_holds: bool
    error_cm: FloatArray


def unseen(
    folder: Path, rows: Sequence[dict[str, str]], outlines: OutlineTable, stretched: Sequence[StretchTable]
) -> Unseen:
    """Fit all models for each part of the bodies. ``stretched`` are the tables of the seen and of the drawn faces."""
    fitted: dict[int, Fitted] = {}
    bodies = np.array(body_numbers(rows))
    for part in split_by_body(outlines):
        fitted |= dict.fromkeys(part.tolist(), _without(part, outlines, stretched, bodies))
    photographs = [whole_photograph((folder / "images" / row["file"]).read_bytes()) for row in rows]
    return Unseen(rows, photographs, [fitted[photo] for photo in range(len(rows))])


def _without(part: IndexArray, outlines: OutlineTable, stretched: Sequence[StretchTable], bodies: IndexArray) -> Fitted:
    known = load_fitted()
    others = np.setdiff1d(np.arange(len(outlines.female)), part)
    body = fit_body_model(tape_covariance_of(known.body), outlines.rows(others))
    models = []
    for table, whole in zip(stretched, known.stretch, strict=True):
        mean, weights = ridge(table.rows(np.flatnonzero(~np.isin(table.body, bodies[part]))))
        models.append(StretchModel(table.features, mean, weights, whole.spread))
    return Fitted(replace(body, spread_factors=known.body.spread_factors), StretchModels(*models))


def unguarded(these: Unseen) -> Unseen:
    """The same with a stretch model to which every picture is as it was."""
    fitted = [
        each._replace(stretch=StretchModels(*(replace(model, weights=0 * model.weights) for model in each.stretch)))
        for each in these.fitted
    ]
    return replace(these, fitted=fitted)


def answers(these: Unseen, change: Change, pose_model: PoseModel) -> list[Answer | PictureRefused]:
    """What each photograph gets after the change."""
    return list(_answers(these, change, pose_model))


def _answers(these: Unseen, change: Change, pose_model: PoseModel) -> Iterator[Answer | PictureRefused]:
    for row, photograph, fitted in zip(these.rows, these.photographs, these.fitted, strict=True):
        picture = prepare_picture(change(photograph))
        truth = np.array([float(row[TRUTH_COLUMNS[name]]) for name in ANSWERED])
        try:
            measured = measure_picture(
                picture, pose_model, fitted, height_cm=float(row["height_cm"]), height_measured=True
            )
        except PictureRefused as refusal:
            yield refusal
            continue
        advice = measured.advice
        holds = SIZES.index(advice.smallest) <= true_size(truth[0]) <= SIZES.index(advice.largest)
        yield Answer(SIZES.index(advice.size), holds, measured.estimate.mean_cm - truth)


def mean_errors_cm(of: Sequence[Answer | PictureRefused]) -> FloatArray:
    """Mean absolute errors of what was answered, in the order of ``ANSWERED``; NaN if nothing was."""
    errors = [np.abs(each.error_cm) for each in of if isinstance(each, Answer)]
    return np.mean(errors, axis=0) if errors else np.full(len(ANSWERED), np.nan)
