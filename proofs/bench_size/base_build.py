"""The base build beside ours: its own benchmark, and its answers to heights as people state them."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from proofs.bench.base_tree import BaseUnusable, base_tree, environment, short_name
from proofs.bench_size.stated_heights import Validations, draws_cm
from size_rec.body.body_model import ANSWERED, LATENT
from size_rec.calibration.fit import CrossValidation, OutlineTable
from size_rec.pose.pose import FloatArray

PROGRAM = Path(__file__).with_name("base_program.py")
BENCHMARKS = ("proofs.bench_size", "scripts.bench_size")
"""Where builds have theirs."""


def base_beside(commit: str, folder: Path, bodies: OutlineTable) -> dict[str, Validations]:
    """Print the base's own table, and return its cross-validations by its name.

    Raises:
        BaseUnusable: there is no such commit, or it cannot be installed or measured.
    """
    name = short_name(commit)
    with base_tree(commit) as tree:
        print(f"\n=== {name}, by its own benchmark")
        print_own_benchmark(tree)
        print(f"=== end of {name}")
        true_cm = np.exp(bodies.log_measures[:, LATENT.index("height_cm")])
        measured, *stated = base_validations(tree, folder, bodies, [true_cm, *draws_cm(bodies)])
    return {f", {name}": Validations(measured, stated, np.ones(len(ANSWERED)))}


def print_own_benchmark(tree: Path) -> None:
    """Have the base print its own table, about bodies and speed, by its own rules."""
    module = next(name for name in BENCHMARKS if (tree / name.replace(".", "/")).is_dir())
    print(_output([_python(tree), "-m", module], tree))


def base_validations(
    tree: Path, folder: Path, bodies: OutlineTable, heights_cm: Sequence[FloatArray]
) -> list[CrossValidation]:
    """The base's cross-validation for each list of heights told; ``spread`` is multiplied with its factors already.

    Raises:
        BaseUnusable: the base cannot measure the bodies.
    """
    told = json.dumps([each.tolist() for each in heights_cm])
    answers = json.loads(_output([_python(tree), str(PROGRAM), str(folder.absolute())], tree, told))
    truth_cm = np.exp(bodies.log_measures[:, [LATENT.index(name) for name in ANSWERED]])
    return [
        CrossValidation(
            predicted=np.array(answer["predicted"]),
            spread=np.array(answer["spread"]),
            error=np.array(answer["predicted"]) - truth_cm,
            height_cm=heights,
            loose=bodies.loose,
            surprise=np.zeros(len(bodies.loose)),
        )
        for answer, heights in zip(answers, heights_cm, strict=True)
    ]


def _python(tree: Path) -> str:
    return str(tree / ".venv" / "bin" / "python")


def _output(command: Sequence[str], tree: Path, text: str | None = None) -> str:
    ended = subprocess.run(
        command, cwd=tree, env=environment(), input=text, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise BaseUnusable(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stderr.strip()[-2000:]}")
    return ended.stdout
