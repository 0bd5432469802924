"""Bare inference in the environment that ``make reference`` makes: photographs' paths in, a timed turn out.

``python -m proofs.bench_size.bare_process`` is not for people: ``proofs/bench_size/bare_reference.py`` talks to it,
one line of JSON each way.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from proofs.bench_size.bare_model import BareModel, decoded
from proofs.bench_size.turns import model_turn, threads_at_priority
from size_rec.cli.native_chatter import native_chatter_dropped


def main(threads: int, niceness: int) -> int:
    """Answer each turn asked for, until standard input ends; returns the exit status."""
    with threads_at_priority(threads, niceness) as pool, native_chatter_dropped():
        models = [BareModel() for _ in range(threads)]
        for line in sys.stdin:
            pictures = [decoded(Path(path)) for path in json.loads(line)]
            print(json.dumps(asdict(model_turn(pool, [model.look for model in models], pictures))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
