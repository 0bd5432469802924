"""One side of a comparison: measures the tree it is told, of whatever age, with that tree's own Python and sandbox.

``comparison.py`` starts it; it prints its figures as one line of JSON. Of a tree it needs the ``bench`` package of its
time and in it nothing but the stage, the photographs, the bare image work and the looks at processes.
"""

import argparse
import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any, Final

BENCH_FOLDERS: Final = ("proofs", "scripts")
"""Where a tree has its ``bench`` package, newest place first."""

SHORT_LATENCY: Final = "2"
PER_MINUTE: Final = 300.0
TIMEOUT_SECONDS: Final = 300.0

PHOTOGRAPHS: Final = {"12": "phone_photographs", "3": "web_photographs"}
"""Megapixels → the function that makes two of them."""

Figures = dict[str, float]


class Side:
    """The tree's own bench, and the worker under test."""

    def __init__(self, package: str, stage: Any, worker: Any, quick: bool) -> None:  # noqa: FBT001 - handed through
        self._pictures = import_module(f"{package}.pictures")
        self._image_work = import_module(f"{package}.image_work")
        self._process_tree = import_module(f"{package}.process_tree")
        self._stage = stage
        self._worker = worker
        self._quick = quick

    def cost(self) -> Figures:
        """Idle memory after a few generations, and processor time per generation with photographs of each size."""
        self._offered("3", 10, SHORT_LATENCY)
        time.sleep(2.0 if self._quick else 20.0)
        figures = {"idle_pss_bytes": float(self._process_tree.pss_bytes(self._worker.pid))}
        for megapixels in PHOTOGRAPHS:
            figures |= self._cpu(megapixels, 20 if self._quick else 120)
        return figures

    def throughput(self) -> Figures:
        """Latency and peak memory at the promised rate, with a provider that takes 30 s."""
        minutes, latency = (0.25, "5") if self._quick else (3.0, "30")
        with self._process_tree.MemoryWatch(self._worker.pid) as memory:
            self._offered("3", round(minutes * PER_MINUTE), latency)
        seconds = sorted((end - start).total_seconds() for start, end in self._stage.completed_times())
        return {"p95_seconds": seconds[round(0.95 * len(seconds)) - 1], "peak_pss_bytes": float(memory.peak_bytes)}

    def _cpu(self, megapixels: str, generations: int) -> Figures:
        jpegs = [photograph.jpeg for photograph in self._photographs(megapixels)]
        self._offered(megapixels, generations // 6, SHORT_LATENCY)
        bare_before = self._image_work.bare_cpu_seconds(jpegs)
        before = self._process_tree.cpu_seconds(self._worker.pid)
        self._offered(megapixels, generations, SHORT_LATENCY)
        used = (self._process_tree.cpu_seconds(self._worker.pid) - before) / generations
        bare = (bare_before + self._image_work.bare_cpu_seconds(jpegs)) / 2
        return {f"cpu_{megapixels}_seconds": used, f"bare_{megapixels}_seconds": bare}

    def _offered(self, megapixels: str, count: int, latency: str) -> None:
        customers = self._stage.restart_counting(latency=latency)
        urls = self._stage.serve(self._photographs(megapixels))
        self._stage.offer(customers, urls, count, per_minute=PER_MINUTE)
        self._stage.wait_until_completed(count, TIMEOUT_SECONDS)

    def _photographs(self, megapixels: str) -> Any:
        return getattr(self._pictures, PHOTOGRAPHS[megapixels])()


def bench_package(tree: Path) -> str:
    """The name of the tree's ``bench`` package.

    Raises:
        LookupError: it has none.
    """
    for folder in BENCH_FOLDERS:
        if (tree / folder / "bench" / "stage.py").exists():
            return f"{folder}.bench"
    raise LookupError(f"no bench in {tree}")


def measured(tree: Path, what: str, *, quick: bool) -> Figures:
    """Start the tree's world and worker, and measure."""
    sys.path.insert(0, str(tree))
    package = bench_package(tree)
    with import_module(f"{package}.stage").open_stage() as stage:
        stage.reset(latency=SHORT_LATENCY)
        with stage.worker() as worker:
            side = Side(package, stage, worker, quick)
            return side.throughput() if what == "throughput" else side.cost()


def main() -> None:
    """What ``comparison.py`` starts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tree", type=Path)
    parser.add_argument("what", choices=("cost", "throughput"))
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args()
    print(json.dumps(measured(chosen.tree, chosen.what, quick=chosen.quick)))


if __name__ == "__main__":
    main()
