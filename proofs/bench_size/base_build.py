"""The base build beside ours: its own benchmark, and its answers to heights as people state them."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from proofs.bench.base_tree import BaseUnusable, base_tree, environment, short_name
from proofs.bench_size.service import Caller, service
from proofs.bench_size.speed import BaseService
from proofs.bench_size.stated_heights import DIVISIONS, Validations, stored_distribution
from size_rec.body.body_model import ANSWERED, LATENT
from size_rec.calibration.fit import CrossValidation, OutlineTable
from size_rec.calibration.stated_draws import draws_cm
from size_rec.pose.pose import FloatArray

PROGRAM = Path(__file__).with_name("base_program.py")
BENCHMARKS = ("proofs.bench_size", "scripts.bench_size")
"""Where builds have theirs."""


@dataclass(frozen=True)
class BaseBuild:
    """An installed base: what git calls it, and where it is."""

    name: str
    tree: Path

    @property
    def python(self) -> str:
        """Its Python."""
        return str(self.tree / ".venv" / "bin" / "python")

    @property
    def benchmark(self) -> tuple[str, str, str]:
        """The command of its own benchmark."""
        module = next(name for name in BENCHMARKS if (self.tree / name.replace(".", "/")).is_dir())
        return self.python, "-m", module


@contextmanager
def base_build(commit: str) -> Iterator[BaseBuild]:
    """The base, installed; gone at the end.

    Raises:
        BaseUnusable: there is no such commit, or it cannot be installed.
    """
    name = short_name(commit)
    with base_tree(commit) as tree:
        yield BaseBuild(name, tree)


@contextmanager
def base_service(base: BaseBuild, photo_host: str) -> Iterator[BaseService]:
    """The base's service, running. It is told heights only: builds before know no measured ones."""
    with service(base.benchmark, base.tree) as (port, process, _):
        yield BaseService(base.name, Caller(port, photo_host, height_measured=None).ask, process.pid)


def base_beside(base: BaseBuild, folder: Path, bodies: OutlineTable) -> dict[str, Validations]:
    """Print the base's own table of errors, refusals and speed, and return its cross-validations by its name.

    Raises:
        BaseUnusable: the base cannot be measured.
    """
    print(f"\n=== {base.name}, by its own benchmark\n{_output(base.benchmark, base.tree)}\n=== end of {base.name}")
    true_cm = np.exp(bodies.log_measures[:, LATENT.index("height_cm")])
    draws = draws_cm(bodies, stored_distribution())
    asked = [*(Asked(true_cm, seed) for seed in range(DIVISIONS)), *(Asked(draw) for draw in draws)]
    answers = base_validations(base, folder, bodies, asked)
    return {f", {base.name}": Validations(answers[:DIVISIONS], answers[DIVISIONS:], np.ones(len(ANSWERED)))}


@dataclass(frozen=True)
class Asked:
    """A cross-validation to make: the heights in cm that are told, and the seed of the division into parts."""

    heights_cm: FloatArray
    seed: int = 0


def base_validations(
    base: BaseBuild, folder: Path, bodies: OutlineTable, asked: Sequence[Asked]
) -> list[CrossValidation]:
    """The base's cross-validations; ``spread`` is multiplied with its factors already.

    Raises:
        BaseUnusable: the base cannot measure the bodies.
    """
    told = json.dumps([{"heights_cm": each.heights_cm.tolist(), "seed": each.seed} for each in asked])
    answers = json.loads(_output([base.python, str(PROGRAM), str(folder.absolute())], base.tree, told))
    truth_cm = np.exp(bodies.log_measures[:, [LATENT.index(name) for name in ANSWERED]])
    return [
        CrossValidation(
            predicted=np.array(answer["predicted"]),
            spread=np.array(answer["spread"]),
            error=np.array(answer["predicted"]) - truth_cm,
            height_cm=each.heights_cm,
            loose=bodies.loose,
            surprise=np.zeros(len(bodies.loose)),
        )
        for answer, each in zip(answers, asked, strict=True)
    ]


def _output(command: Sequence[str], tree: Path, text: str | None = None) -> str:
    ended = subprocess.run(
        command, cwd=tree, env=environment(), input=text, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise BaseUnusable(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stderr.strip()[-2000:]}")
    return ended.stdout
