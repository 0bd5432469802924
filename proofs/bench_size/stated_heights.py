"""Heights as people state them: what they do to the answers, by cross-validation."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from size_rec.body.body_model import SEXES
from size_rec.body.model_file import MODEL_FILE, load_body_model
from size_rec.calibration.figures import Figures, answers_of, figures_of
from size_rec.calibration.fit import CrossValidation, OutlineTable, cross_validate, spread_factors, tape_covariance_of
from size_rec.calibration.stated_draws import DRAWS, draws_cm
from size_rec.calibration.stated_heights import StatedHeights
from size_rec.pose.pose import FloatArray

GIRTHS = ("chest_cm", "waist_cm", "hip_cm")
NINE_IN_TEN = 1.645
"""Standard deviations that hold nine of ten normal errors."""

DIVISIONS = 12
"""How the bodies fall into parts moves an error by 0.03 cm, so builds are compared over as many divisions."""


@dataclass(frozen=True)
class HeightRow:
    """One way to be told the height; ``covered`` by girth, the share of the errors within the predicted nine in ten."""

    label: str
    figures: Figures
    covered: tuple[float, ...]


def stored_distribution() -> StatedHeights:
    """How people state their heights, as fitted."""
    model = load_body_model()
    steps = json.loads(MODEL_FILE.read_text(encoding="utf-8"))["about"]["stated_heights"]
    return StatedHeights(model.stated_height_bias, model.stated_height_spread, tuple(steps[name] for name in SEXES))


@dataclass(frozen=True)
class Validations:
    """The cross-validations of one build: told the true heights as measured, in each of :data:`DIVISIONS` divisions of
    the bodies into parts, and told what people state. ``factors`` multiply the spreads."""

    divisions: list[CrossValidation]
    stated: list[CrossValidation]
    factors: FloatArray

    @property
    def measured(self) -> CrossValidation:
        """Of the division that everything else is judged by."""
        return self.divisions[0]


def validations_of(bodies: OutlineTable) -> Validations:
    """Of this build."""
    covariance, stated = tape_covariance_of(load_body_model()), stored_distribution()
    divisions = [cross_validate(covariance, bodies, seed=seed) for seed in range(DIVISIONS)]
    told = [cross_validate(covariance, bodies, stated=stated, stated_cm=each) for each in draws_cm(bodies, stated)]
    return Validations(divisions, told, spread_factors(divisions[:1], told))


def height_row(label: str, validations: Sequence[CrossValidation], factors: FloatArray) -> HeightRow:
    """The figures of one or more cross-validations together."""
    answers = [answer for each in validations for answer in answers_of(each, factors)]
    within = [np.abs(each.error) <= NINE_IN_TEN * each.spread * factors for each in validations]
    covered = np.concatenate(within).mean(axis=0)
    return HeightRow(label, figures_of(answers), tuple(float(share) for share in covered[: len(GIRTHS)]))


def print_stated_heights(builds: Mapping[str, Validations]) -> None:
    """Print errors, bias and cover of each build, by its name, with measured and with stated heights."""
    rows = [
        height_row(f"{told}{name}", validations, each.factors)
        for name, each in builds.items()
        for told, validations in (("measured", [each.measured]), ("stated", each.stated))
    ]
    print(f"\nHeights as people state them (ANSUR II's stated minus measured, {DRAWS} draws; cross-validated)")
    print(f"{'':28}{'error cm: chest waist hip':>27}{'bias cm':>21}{'90 % holds':>18}{'range':>8}{'exact':>8}")
    for row in rows:
        errors, bias = (
            "".join(f"{by_girth[girth]:{form}}" for girth in GIRTHS)
            for by_girth, form in ((row.figures.error_cm["all"], "9.2f"), (row.figures.bias_cm, "+7.2f"))
        )
        cover = "".join(f"{share:6.0%}" for share in row.covered)
        shares = f"{row.figures.range_holds:8.1%}{row.figures.size_exact:8.1%}"
        print(f"{row.label:28}{errors}{bias}{cover}{shares}")
