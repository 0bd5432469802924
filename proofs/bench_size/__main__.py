"""``make bench-size``: how good and how fast size recommendation is, every figure beside its reference from this run.

Starts the service (the real application on a real server, loopback), sends it every photograph of the set, and prints

- the errors of the answers: by cross-validation (a body is never in both parts), of the running service (its model
  has seen these bodies), of a naive multiplier heuristic, and the floor that ANSUR II allows;
- size, range, confidence and refusals;
- what photographs stretched sideways, in other light, with a covered face, and of people who hold a child get,
  cross-validated;
- what loose clothing costs;
- beside a base build, whether the errors really differ: body by body;
- with heights as people state them: errors, bias, cover; and whether the sizes' probabilities come true;
- latency and throughput at 1 and 8 callers beside the bare pose model on the same photographs, memory, time to ready.
"""

import argparse
import csv
import json
from contextlib import nullcontext
from pathlib import Path

from proofs.bench.base_tree import BaseUnusable
from proofs.bench.process_tree import pss_bytes
from proofs.bench_size.base_build import BaseBuild, base_beside, base_build, base_service
from proofs.bench_size.carried import print_carried
from proofs.bench_size.covered import print_covered
from proofs.bench_size.light import print_light
from proofs.bench_size.loose import print_loose
from proofs.bench_size.paired import print_paired
from proofs.bench_size.probabilities import print_probabilities
from proofs.bench_size.quality import print_errors, print_refusals
from proofs.bench_size.service import Caller, Reply, photo_host, serve, service
from proofs.bench_size.speed import Run, in_turns, print_speed
from proofs.bench_size.stated_heights import print_stated_heights, validations_of
from proofs.bench_size.stretched import print_stretched
from proofs.bench_size.unseen import unseen
from size_rec.calibration.stretch import read_stretched
from size_rec.calibration.tables import read_bodies, read_truth
from size_rec.cli.native_chatter import native_chatter_dropped
from size_rec.photo.picture import prepare_picture
from size_rec.pose.model import PoseModel

DEFAULT_BODIES = Path("tests/data/bodies")


def main() -> int:
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m proofs.bench_size",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bodies", type=Path, default=DEFAULT_BODIES, help="folder with truth.csv and images/")
    parser.add_argument("--base", metavar="COMMIT", help="measure this commit as well: its own table, then beside ours")
    parser.add_argument("--csv", type=Path, help="write one line per photograph here")
    parser.add_argument("--serve", type=int, metavar="PORT", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        return serve(asked.serve)
    try:
        with base_build(asked.base) if asked.base else nullcontext() as base:
            _measure(asked.bodies, base, asked.csv)
    except BaseUnusable as problem:
        parser.exit(1, f"{problem}\n")
    return 0


def _measure(folder: Path, base: BaseBuild | None, csv_file: Path | None) -> None:
    ok, refuse = read_truth(folder), read_truth(folder, "422")
    pictures = [prepare_picture((folder / "images" / row["file"]).read_bytes()).image for row in ok]
    with (
        photo_host(folder / "images") as host,
        service() as (port, process, ready_seconds),
        base_service(base, host) if base else nullcontext() as other,
        native_chatter_dropped(),
    ):
        ask = Caller(port, host).ask
        ask(ok[0])
        replies = [ask(row) for row in ok]
        refused = [ask(row) for row in refuse]
        many, sides = in_turns(ask, ok, folder / "images", process.pid, other)
        memory_mb = pss_bytes(process.pid) / 1e6
        if other:
            other.memory_mb = pss_bytes(other.pid) / 1e6
    with native_chatter_dropped():
        table = read_bodies(folder)
        print_errors(table, ok, replies, pictures)
        print_refusals(ok, replies, refuse, refused)
        these, pose_model = unseen(folder, ok, table, read_stretched(folder)), PoseModel()
        print_stretched(these, pose_model)
        print_light(these, pose_model)
        print_covered(these, pose_model)
        print_carried(these, pose_model)
        print_loose(table)
    builds = {"": validations_of(table)} | (base_beside(base, folder, table) if base else {})
    print_paired(builds)
    print_stated_heights(builds)
    print_probabilities(builds)
    print_speed(Run(replies, many, sides, memory_mb, ready_seconds, other))
    if csv_file:
        _write_csv(csv_file, [*ok, *refuse], [*replies, *refused])


def _write_csv(path: Path, rows: list[dict[str, str]], replies: list[Reply]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "kind", "expect", "status", "seconds", "answer"])
        for row, reply in zip(rows, replies, strict=True):
            answer = json.dumps(reply.body)
            writer.writerow([row["file"], row["kind"], row["expect"], reply.status, f"{reply.seconds:.3f}", answer])


if __name__ == "__main__":
    raise SystemExit(main())
