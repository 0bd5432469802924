"""``python -m size_rec.calibration.stretch BODIES_FOLDER``: fit and write ``stretch_model.json``.

Every rendered body is looked at as it is and stretched by :data:`FACTORS`, each time also with a drawn face over the
head. The same input gives the same file byte for byte on the same machine.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from size_rec.body.body_model import LATENT
from size_rec.body.stretch import StretchModel, StretchModels
from size_rec.body.stretch_file import STRETCH_FILE, stretch_text
from size_rec.calibration.changed_photographs import stretched, whole_photograph
from size_rec.calibration.fit import FOLDS
from size_rec.calibration.progress import followed
from size_rec.calibration.tables import TRUTH_COLUMNS, read_truth
from size_rec.measuring import Look, clearest_look, look_past_the_face
from size_rec.photo.picture import prepare_picture
from size_rec.pose.model import PoseModel
from size_rec.pose.pose import FloatArray, IndexArray
from size_rec.vocabulary import PictureRefused

FACTORS: Final = (0.75, 0.85, 0.93, 1.0, 1.07, 1.15, 1.33)
"""Widths over those of the photograph as it is."""
UNSTRETCHED_COUNT: Final = 3.0
"""How many times a photograph as it is counts in the fit: most pictures are such."""
RIDGE: Final = 100.0
"""Pull of the weights towards 0, in photographs; any value from 10 to 100 gives the same error."""
TINY: Final = 1e-9
"""Keeps a feature that never changes from dividing by 0."""

LookAtBody = tuple[int, float, dict[str, float]]
"""The body's number, the logarithm of the factor, the values by feature."""


@dataclass(frozen=True)
class StretchTable:
    """Looks at stretched pictures: ``values`` (n, features; NaN where not measured), the ``logarithms`` of the factors
    (n), and which ``body`` it was (n)."""

    features: tuple[str, ...]
    values: FloatArray
    logarithms: FloatArray
    body: IndexArray

    def rows(self, chosen: IndexArray) -> "StretchTable":
        """The chosen looks only."""
        return StretchTable(self.features, self.values[chosen], self.logarithms[chosen], self.body[chosen])


def fit_stretch_model(table: StretchTable) -> StretchModel:
    """Weights by ridge regression, with the spread of their error by cross-validation."""
    spread = np.sqrt(np.mean(cross_validated_errors(table)[table.logarithms == 0] ** 2))
    mean, weights = ridge(table)
    return StretchModel(table.features, mean, weights, float(spread))


def cross_validated_errors(table: StretchTable, seed: int = 0) -> FloatArray:
    """Estimate minus truth for each look, from weights fitted without its body."""
    errors = np.zeros(len(table.body))
    part_of_body = np.random.default_rng(seed).permutation(table.body.max() + 1) % FOLDS
    for part in range(FOLDS):
        left_out = part_of_body[table.body] == part
        mean, weights = ridge(table.rows(np.flatnonzero(~left_out)))
        errors[left_out] = _filled(table.values[left_out] - mean) @ weights - table.logarithms[left_out]
    return errors


def ridge(table: StretchTable) -> tuple[FloatArray, FloatArray]:
    """The features' mean over pictures as they are, and the weights of the differences from it."""
    mean = np.nanmean(table.values[table.logarithms == 0], axis=0)
    differences = _filled(table.values - mean)
    counts = np.where(table.logarithms == 0, UNSTRETCHED_COUNT, 1.0)
    scale = np.sqrt(np.average(differences**2, axis=0, weights=counts)) + TINY
    weighted = (differences / scale) * counts[:, None]
    normal = weighted.T @ (differences / scale) + RIDGE * np.eye(len(scale))
    weights: FloatArray = np.linalg.solve(normal, weighted.T @ table.logarithms) / scale
    return mean, weights


def _filled(differences: FloatArray) -> FloatArray:
    return np.where(np.isfinite(differences), differences, 0.0)


def read_stretched(folder: Path) -> tuple[StretchTable, StretchTable]:
    """Look at every body of ``folder`` that is to be answered, stretched by every factor: as it is, and with a drawn
    face."""
    pose_model = PoseModel()
    rows = read_truth(folder)
    seen: list[LookAtBody] = []
    drawn: list[LookAtBody] = []
    numbered = list(zip(body_numbers(rows), rows, strict=True))
    for body, row in followed(numbered, f"Looks at {len(FACTORS)} widths"):
        photograph = whole_photograph((folder / "images" / row["file"]).read_bytes())
        for factor in FACTORS:
            for looks, look in zip((seen, drawn), looks_at(photograph, factor, pose_model), strict=False):
                looks.append((body, log(factor), look.stretch_values))
    return table_of(seen), table_of(drawn)


def body_numbers(rows: Sequence[Mapping[str, str]]) -> list[int]:
    """Equal for photographs of the same body."""
    bodies = [tuple(row[TRUTH_COLUMNS[measure]] for measure in LATENT) for row in rows]
    numbers = {body: number for number, body in enumerate(dict.fromkeys(bodies))}
    return [numbers[body] for body in bodies]


def looks_at(photograph: Image.Image, factor: float, pose_model: PoseModel) -> Iterator[Look]:
    """The look at the stretched photograph and the one with a drawn face, as far as they show a body."""
    picture = prepare_picture(stretched(photograph, factor))
    with suppress(PictureRefused):
        first = clearest_look(picture, pose_model)
        if first.features is not None:
            yield first
            second = look_past_the_face(first, pose_model)
            if second is not None and second.features is not None:
                yield second


def table_of(looks: Sequence[LookAtBody]) -> StretchTable:
    bodies, logarithms, values = zip(*looks, strict=True)
    names = tuple(values[0])
    numbers = np.array([[each[name] for name in names] for each in values])
    return StretchTable(names, numbers, np.array(logarithms), np.array(bodies))


def main() -> int:
    """Run the calibration; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m size_rec.calibration.stretch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bodies", type=Path, help="folder with truth.csv and images/")
    parser.add_argument("--out", type=Path, default=STRETCH_FILE)
    arguments = parser.parse_args()
    seen, drawn = read_stretched(arguments.bodies)
    models = StretchModels(fit_stretch_model(seen), fit_stretch_model(drawn))
    arguments.out.write_text(stretch_text(models), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
