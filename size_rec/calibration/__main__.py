"""``python -m size_rec.calibration ANSUR_FOLDER BODIES_FOLDER``: fit, cross-validate, write ``body_model.json``.

The same input gives the same file byte for byte on the same machine; another processor may round the pose model's
last digits otherwise, which moves fitted numbers by less than 0.1 % and answers by less than a millimetre.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from size_rec.body_model import ANSWERED
from size_rec.calibration.fit import FOLDS, CrossValidation, cross_validate, fit_body_model, spread_factors
from size_rec.calibration.tables import read_ansur, read_bodies
from size_rec.model_file import MODEL_FILE, model_text

MODEL_DATE = "2026-11-21"
"""When the data and the method were last changed; written into the file instead of the clock's date."""


def main() -> int:
    """Run the calibration; returns the exit status."""
    parser = argparse.ArgumentParser(prog="size_rec.calibration", description=__doc__)
    parser.add_argument("ansur", type=Path, help="folder with ansur2_male.csv and ansur2_female.csv")
    parser.add_argument("bodies", type=Path, help="folder with truth.csv and images/")
    parser.add_argument("--out", type=Path, default=MODEL_FILE)
    arguments = parser.parse_args()
    people, bodies = read_ansur(arguments.ansur), read_bodies(arguments.bodies)
    validation = cross_validate(people, bodies)
    weighed = cross_validate(people, bodies, with_weight=True)
    model = replace(fit_body_model(people, bodies), spread_factors=spread_factors(validation))
    about = {
        "what": "Numbers of size_rec/body_model.py, fitted by `make calibrate`; natural logarithms of cm, kg and shares.",
        "date": MODEL_DATE,
        "people": f"ANSUR II (Gordon et al. 2014, NATICK/TR-15/007, public domain), n = {len(people.female)}",
        "bodies": f"rendered bodies (MakeHuman, CC0), close-fitting and loose clothes, n = {len(bodies.female)}",
        "cross_validation": f"{FOLDS} parts by body, seed 0; mean absolute error in cm",
        "error_cm": errors_by_clothes(validation),
        "error_cm_with_weight": errors_by_clothes(weighed),
    }
    arguments.out.write_text(model_text(model, about), encoding="utf-8")
    return 0


def errors_by_clothes(validation: CrossValidation) -> dict[str, dict[str, Any]]:
    """Mean absolute error per measure over all, in close-fitting and in loose clothes."""
    absolute = np.abs(validation.error)
    groups = {"all": validation.loose >= 0, "close_fitting": validation.loose == 0, "loose": validation.loose == 1}
    return {
        group: {name: round(float(value), 2) for name, value in zip(ANSWERED, absolute[rows].mean(axis=0), strict=True)}
        for group, rows in groups.items()
    }


if __name__ == "__main__":
    raise SystemExit(main())
