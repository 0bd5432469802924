"""Whether this build's errors really differ from the base's: body by body, for both saw the same ones."""

from collections.abc import Mapping, Sequence

import numpy as np

from proofs.bench_size.stated_heights import DIVISIONS, GIRTHS, Validations
from size_rec.calibration.fit import CrossValidation
from size_rec.pose.pose import FloatArray


def body_errors_cm(divisions: Sequence[CrossValidation]) -> FloatArray:
    """Mean absolute error of each body over the divisions into parts, in cm: (n, :data:`GIRTHS`)."""
    errors: FloatArray = np.mean([np.abs(each.error[:, : len(GIRTHS)]) for each in divisions], axis=0)
    return errors


def paired_difference_cm(ours: FloatArray, base: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How much larger our errors are on average, and the standard error of that, both (:data:`GIRTHS`) in cm."""
    differences = ours - base
    return differences.mean(axis=0), differences.std(axis=0, ddof=1) / np.sqrt(len(differences))


def print_paired(builds: Mapping[str, Validations]) -> None:
    """Print the errors of two builds, ours first, and their difference; nothing when there is but one."""
    if len(builds) == 1:
        return
    ours, base = (body_errors_cm(each.divisions) for each in builds.values())
    difference, standard_error = paired_difference_cm(ours, base)
    print(f"\nErrors body by body (measured heights; mean over {DIVISIONS} divisions into parts; cross-validated)")
    print(f"{'':28}" + "".join(f"{girth:>17}" for girth in GIRTHS))
    for name, errors in zip(("ours", *list(builds)[1:]), (ours, base), strict=True):
        print(f"{name.strip(', '):28}" + "".join(f"{each:17.2f}" for each in errors.mean(axis=0)))
    told = (f"{mean:+.2f} \u00b1 {deviation:.2f}" for mean, deviation in zip(difference, standard_error, strict=True))
    print(f"{'difference, standard error':28}" + "".join(f"{each:>17}" for each in told))
