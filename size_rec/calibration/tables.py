"""Reads the two tables the fit needs: ANSUR II's CSV files, and a folder of rendered bodies with their photographs."""

import csv
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import nan
from pathlib import Path

import numpy as np

from size_rec.body.body_model import LATENT
from size_rec.calibration.changed_photographs import Gains, in_light, whole_photograph
from size_rec.calibration.fit import TAPE_MEASURES, OutlineTable, TapeTable
from size_rec.calibration.floor import FLOOR_COLUMNS
from size_rec.calibration.progress import followed
from size_rec.calibration.stated_heights import StatedHeights, stated_heights_of
from size_rec.measuring import clearest_look
from size_rec.outline.features import BodyFeatures
from size_rec.photo.picture import Picture, prepare_picture
from size_rec.pose.model import PoseModel
from size_rec.pose.pose import FloatArray
from size_rec.vocabulary import PictureRefused

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

LIGHTS: tuple[Gains, ...] = (
    (0.35, 0.35, 0.35),
    (0.7, 0.7, 0.7),
    (1.2, 1.2, 1.2),
    (0.75, 0.6, 0.45),
    (0.85, 1.0, 1.2),
    (0.5, 0.6, 0.75),
)
"""Dim, bright, warm and cool. None of them is a light that ``make bench-size`` judges by."""

Measure = Callable[[Picture], BodyFeatures | None]
"""May raise ``PictureRefused``."""


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
    """Measure every photograph of ``folder`` that is to be answered, as it is and in other light (a minute and a half).

    Raises:
        PictureRefused: a photograph as it is cannot be measured.
        ValueError: a photograph without a complete outline; the message names it.
    """
    rows, look = read_truth(folder), measure or _pose_measure()
    values: list[list[float]] = []
    in_other_light: list[list[list[float]]] = []
    names: tuple[str, ...] = ()
    for row in followed(rows, f"Outlines as they are and in {len(LIGHTS)} lights"):
        data = (folder / "images" / row["file"]).read_bytes()
        features = look(prepare_picture(data))
        if features is None or not features.complete:
            raise ValueError(f"{row['file']}: no complete outline")
        names, line = tuple(features.values), list(features.values.values())
        values.append(line)
        in_other_light.append(list(_in_other_light(data, look, len(names))))
    return OutlineTable(
        features=names,
        values=np.array(values),
        log_measures=np.log([[float(row[TRUTH_COLUMNS[name]]) for name in LATENT] for row in rows]),
        female=_flags(rows, "sex", "female"),
        loose=_flags(rows, "loose", "1"),
        in_other_light=np.array(in_other_light),
    )


def _in_other_light(data: bytes, measure: Measure, count: int) -> Iterator[list[float]]:
    photograph = whole_photograph(data)
    for gains in LIGHTS:
        features = None
        with suppress(PictureRefused):
            features = measure(prepare_picture(in_light(photograph, gains)))
        yield list(features.values.values()) if features else [nan] * count


def _pose_measure() -> Measure:
    pose_model = PoseModel()

    def measure(picture: Picture) -> BodyFeatures | None:
        return clearest_look(picture, pose_model).features

    return measure


def _flags(rows: list[dict[str, str]], column: str, value: str) -> FloatArray:
    flags: FloatArray = np.array([float(row[column] == value) for row in rows])
    return flags
