"""Reads the two tables the fit needs: ANSUR II's CSV files, and a folder of rendered bodies with their photographs."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from size_rec.body.body_model import LATENT
from size_rec.calibration.fit import TAPE_MEASURES, OutlineTable, TapeTable
from size_rec.calibration.floor import FLOOR_COLUMNS
from size_rec.calibration.stated_heights import StatedHeights, stated_heights_of
from size_rec.measuring import clearest_look
from size_rec.outline.features import BodyFeatures
from size_rec.photo.picture import Picture, prepare_picture
from size_rec.pose.model import PoseModel
from size_rec.pose.pose import FloatArray

ANSUR_FILES = ("ansur2_male.csv", "ansur2_female.csv")
"""In the order of ``size_rec.body.body_model.SEXES``."""

ANSUR_COLUMNS = {
    "height_cm": "stature",
    "weight_kg": "weightkg",
    "chest_cm": "chestcircumference",
    "waist_navel_cm": "waistcircumference",
    "hip_cm": "buttockcircumference",
    "shoulder_cm": "biacromialbreadth",
    "inseam_cm": "crotchheight",
}
"""Millimetres, and tenths of a kilogram (NATICK/TR-15/007)."""

STATED_COLUMN = "Heightin"
"""The height that the person stated, in whole inches."""
CM_PER_INCH, TENTHS = 2.54, 10
"""Of all other columns a tenth is read: millimetres become centimetres."""

TRUTH_COLUMNS = {name: name for name in LATENT} | {
    "waist_navel_cm": "waist_omphalion_cm",
    "shoulder_cm": "shoulder_biacromial_cm",
}

Measure = Callable[[Picture], BodyFeatures | None]


def read_ansur(folder: Path) -> TapeTable:
    """ANSUR II's measures that the fit needs.

    Raises:
        FileNotFoundError: one of the two files is not in ``folder``.
    """
    columns = read_ansur_columns(folder, tuple(ANSUR_COLUMNS[measure] for measure in TAPE_MEASURES))
    measures = np.column_stack([columns[ANSUR_COLUMNS[measure]] for measure in TAPE_MEASURES])
    return TapeTable(np.log(measures), columns["female"])


def read_ansur_columns(folder: Path, names: tuple[str, ...] = FLOOR_COLUMNS) -> dict[str, FloatArray]:
    """Columns of ANSUR II by its own names, in cm (kg), and ``female``."""
    rows: list[list[float]] = []
    for sex, file_name in enumerate(ANSUR_FILES):
        with (folder / file_name).open(newline="", encoding="utf-8") as file:
            rows += [[*(float(person[name]) / 10 for name in names), float(sex)] for person in csv.DictReader(file)]
    return dict(zip((*names, "female"), np.array(rows).T, strict=True))


def read_stated_heights(folder: Path) -> StatedHeights:
    """How ANSUR II's people state their heights."""
    columns = read_ansur_columns(folder, ("stature", STATED_COLUMN))
    stated_cm = columns[STATED_COLUMN] * TENTHS * CM_PER_INCH
    return stated_heights_of(stated_cm=stated_cm, true_cm=columns["stature"], female=columns["female"])


def read_truth(folder: Path, expect: str = "ok") -> list[dict[str, str]]:
    """The rows of ``truth.csv`` whose photograph is to be answered (``ok``) or refused (``422``)."""
    with (folder / "truth.csv").open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["expect"] == expect]


def read_bodies(folder: Path, measure: Measure | None = None) -> OutlineTable:
    """Measure every photograph of ``folder`` that is to be answered.

    Raises:
        ValueError: a photograph without a complete outline; the message names it.
    """
    rows = read_truth(folder)
    values: list[list[float]] = []
    names: tuple[str, ...] = ()
    for row, features in zip(rows, _measured(folder, rows, measure or _pose_measure()), strict=True):
        if features is None or not features.complete:
            raise ValueError(f"{row['file']}: no complete outline")
        names, line = tuple(features.values), list(features.values.values())
        values.append(line)
    return OutlineTable(
        features=names,
        values=np.array(values),
        log_measures=np.log([[float(row[TRUTH_COLUMNS[measure]]) for measure in LATENT] for row in rows]),
        female=_flags(rows, "sex", "female"),
        loose=_flags(rows, "loose", "1"),
    )


def _measured(folder: Path, rows: list[dict[str, str]], measure: Measure) -> Iterator[BodyFeatures | None]:
    for row in rows:
        yield measure(prepare_picture((folder / "images" / row["file"]).read_bytes()))


def _pose_measure() -> Measure:
    pose_model = PoseModel()

    def measure(picture: Picture) -> BodyFeatures | None:
        return clearest_look(picture, pose_model).features

    return measure


def _flags(rows: list[dict[str, str]], column: str, value: str) -> FloatArray:
    flags: FloatArray = np.array([float(row[column] == value) for row in rows])
    return flags
