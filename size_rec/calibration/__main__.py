"""``python -m size_rec.calibration ANSUR_FOLDER BODIES_FOLDER``: fit, cross-validate, write ``body_model.json``.

The same input gives the same file byte for byte on the same machine; another processor may round the pose model's
last digits otherwise, which moves the fitted numbers in the third digit and answers by less than a millimetre.
"""

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from size_rec.body.body_model import SEXES
from size_rec.body.model_file import MODEL_FILE, model_text
from size_rec.calibration.figures import answers_of, figures_of
from size_rec.calibration.fit import (
    FOLDS,
    CrossValidation,
    cross_validate,
    fit_body_model,
    spread_factors,
    tape_covariance,
)
from size_rec.calibration.floor import breadth_floor
from size_rec.calibration.stated_draws import draws_cm
from size_rec.calibration.stated_heights import STEP_CM
from size_rec.calibration.tables import read_ansur, read_ansur_columns, read_bodies, read_stated_heights
from size_rec.pose.pose import FloatArray

MODEL_DATE = "2026-11-29"
"""When the data or the method last changed; written into the file instead of the clock's date."""


def main() -> int:
    """Run the calibration; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m size_rec.calibration",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("ansur", type=Path, help="folder with ansur2_male.csv and ansur2_female.csv")
    parser.add_argument("bodies", type=Path, help="folder with truth.csv and images/")
    parser.add_argument("--out", type=Path, default=MODEL_FILE)
    arguments = parser.parse_args()
    people, bodies = read_ansur(arguments.ansur), read_bodies(arguments.bodies)
    covariance = tape_covariance(people)
    validation = cross_validate(covariance, bodies)
    weighed = cross_validate(covariance, bodies, with_weight=True)
    stated = read_stated_heights(arguments.ansur)
    told = [cross_validate(covariance, bodies, stated=stated, stated_cm=each) for each in draws_cm(bodies, stated)]
    factors = spread_factors([validation], told)
    model = replace(
        fit_body_model(covariance, bodies),
        spread_factors=factors,
        stated_height_bias=stated.bias,
        stated_height_spread=stated.spread,
    )
    about = {
        "what": "Numbers of size_rec/body/body_model.py, fitted by `make calibrate`; logarithms of cm, kg and shares.",
        "date": MODEL_DATE,
        "people": f"ANSUR II (Gordon et al. 2014, NATICK/TR-15/007, public domain), n = {len(people.female)}",
        "bodies": f"rendered photographs (MakeHuman, CC0), close-fitting and loose clothes, n = {len(bodies.female)}",
        "method": f"cross-validation in {FOLDS} parts, a body in one part only; mean absolute errors in cm",
        "cross_validation": _figures(validation, factors),
        "cross_validation_with_weight": _figures(weighed, factors),
        "floor_cm": {
            "what": "error of girths predicted from sex, height and calliper breadths of the same people (ANSUR II)",
            **breadth_floor(read_ansur_columns(arguments.ansur)),
        },
        "stated_heights": {
            "what": f"stated minus measured height in steps of {STEP_CM} cm, number of people (ANSUR II)",
            **dict(zip(SEXES, stated.people_by_step, strict=True)),
        },
    }
    arguments.out.write_text(model_text(model, about), encoding="utf-8")
    return 0


def _figures(validation: CrossValidation, factors: FloatArray) -> dict[str, Any]:
    figures = asdict(figures_of(answers_of(validation, factors)))
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}


if __name__ == "__main__":
    raise SystemExit(main())
