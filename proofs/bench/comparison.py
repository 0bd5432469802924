"""This tree beside an earlier commit, in turns on one machine (``make bench BASE=COMMIT``)."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from proofs.bench.base_tree import REPOSITORY, base_tree, environment, short_name
from proofs.bench.figures import Figure, Section, mebibytes, milliseconds
from proofs.bench.progress import Say

SIDE: Final = Path(__file__).with_name("side.py")

COST_ROUNDS: Final = 3
"""Of each side in turn; the median counts, so that one disturbance does not."""

Figures = Mapping[str, float]


class SideFailed(Exception):
    """One side could not be measured; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of both sides: ``of`` takes it from one run, ``aim_share`` is the most it may be of the base's."""

    name: str
    of: Callable[[Figures], float]
    shown: Callable[[float], str]
    aim: float | None = None
    aim_share: float | None = None

    def figure(self, ours: Sequence[Figures], bases: Sequence[Figures], base: str) -> Figure:
        """The medians beside each other, and whether the aim is met: one of the figure itself, or of its share."""
        here, there = median(map(self.of, ours)), median(map(self.of, bases))
        share = here / there
        words, met = "", None
        if self.aim is not None:
            words, met = f"<= {self.shown(self.aim)}", here <= self.aim
        elif self.aim_share is not None:
            words, met = f"<= {self.aim_share:.2f} of it", share <= self.aim_share
        return Figure(
            self.name, f"{self.shown(here)} ({share:.2f} of it)", f"{self.shown(there)} at {base}", words, met
        )


def _ratio(value: float) -> str:
    return f"{value:.2f}"


def _seconds(value: float) -> str:
    return f"{value:.2f} s"


COST_ROWS: Final = (
    Row("CPU per generation, 12 megapixels", lambda run: run["cpu_12_seconds"], milliseconds),
    Row(
        "CPU / bare image work, 12 megapixels",
        lambda run: run["cpu_12_seconds"] / run["bare_12_seconds"],
        _ratio,
        aim=1.00,
    ),
    Row("CPU per generation, 3 megapixels", lambda run: run["cpu_3_seconds"], milliseconds),
    Row(
        "CPU / bare image work, 3 megapixels",
        lambda run: run["cpu_3_seconds"] / run["bare_3_seconds"],
        _ratio,
        aim=1.05,
    ),
    Row("idle memory (PSS, all processes)", lambda run: run["idle_pss_bytes"], mebibytes, aim_share=0.70),
)
THROUGHPUT_ROWS: Final = (
    Row("queued -> completed, P95, 300/min and 30 s provider", lambda run: run["p95_seconds"], _seconds),
    Row("peak memory at 300/min (PSS)", lambda run: run["peak_pss_bytes"], mebibytes, aim=400 * 2**20),
)


def compare(commit: str, say: Say, *, quick: bool) -> Section:
    """Measure the commit and this tree in turns.

    Raises:
        BaseUnusable: there is no such commit, or it cannot be installed.
        SideFailed: one of them could not be measured.
    """
    base = short_name(commit)
    rounds = 1 if quick else COST_ROUNDS
    say(f"comparison: installing {base}")
    with base_tree(commit) as tree:
        trees = {base: (tree / ".venv" / "bin" / "python", tree), "this tree": (Path(sys.executable), REPOSITORY)}
        figures: list[Figure] = []
        for what, rows, times in (("cost", COST_ROWS, rounds), ("throughput", THROUGHPUT_ROWS, 1)):
            runs: dict[str, list[Figures]] = {name: [] for name in trees}
            for turn in range(times):
                for name, (python, root) in trees.items():
                    say(f"comparison: {what} of {name}, {turn + 1} of {times}")
                    runs[name].append(_side(python, root, what, quick=quick))
            figures += [row.figure(runs["this tree"], runs[base], base) for row in rows]
    return Section(
        f"Against {base}",
        f"Each in an environment of its own with its own world around it, one after the other in turns; the median of "
        f"{rounds}. Processor time: 120 generations at 300/min, two photographs each. Idle memory: 20 s after ten "
        "generations. Throughput: once, for 3 min.",
        tuple(figures),
    )


def _side(python: Path, tree: Path, what: str, *, quick: bool) -> Figures:
    # -P: beside the script lie modules of this tree.
    command = [str(python), "-P", str(SIDE), str(tree), what, *(["--quick"] if quick else [])]
    ended = subprocess.run(command, cwd=tree, env=environment(), capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SideFailed(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stderr.strip()}")
    figures: Figures = json.loads(ended.stdout.splitlines()[-1])
    return figures
