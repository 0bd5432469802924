"""``make bench-size``: how good and how fast size recommendation is, every figure beside its reference from this run.

Starts the service (the real application on a real server, loopback), sends it every photograph of the set, and prints

- the errors of the answers: by cross-validation (a body is never in both parts), of the running service (its model
  has seen these bodies), of a naive multiplier heuristic, and the floor that ANSUR II allows;
- size, range, confidence and refusals;
- latency and throughput at 1 and 8 callers beside the bare pose model on the same photographs, memory, time to ready.
"""

import argparse
import csv
import functools
import http.client
import http.server
import json
import os
import socketserver
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
import uvicorn
from PIL import Image, ImageOps
from prometheus_client import CollectorRegistry

from models.health import HealthReport
from services.url_guard import TrustedHosts
from size_rec.app import create_app
from size_rec.body_model import ANSWERED
from size_rec.calibration.figures import Answered, Figures, answers_of, figures_of
from size_rec.calibration.fit import FOLDS, cross_validate, spread_factors, tape_covariance_of
from size_rec.calibration.tables import TRUTH_COLUMNS, read_bodies, read_truth
from size_rec.estimator import WORKERS, BodyEstimator, step_back
from size_rec.mediapipe_service import PoseModel
from size_rec.model_file import MODEL_FILE, load_body_model
from size_rec.native_chatter import native_chatter_dropped
from size_rec.picture import prepare_picture
from size_rec.pose import Joint, Pose, RgbArray
from size_rec.size_chart import SIZES

DEFAULT_BODIES = Path("tests/data/bodies")
CALLERS = 8
TURN = 102
"""Photographs in one turn of the service before the bare model has its turn; half of the set. At its beginning and end
fewer callers wait than in between, so short turns would measure that."""
PASSES = 2
"""Over the set; together four turns of each, as the machine's own speed changes from one to the next."""
READY_TIMEOUT_SECONDS = 60.0
REQUEST_TIMEOUT_SECONDS = 30.0
KEPT_CONNECTION_SECONDS = 60
"""Longer than the bare model's turn, in which the callers are silent."""
NAIVE_MULTIPLIERS = {"chest_cm": ("shoulders", 2.15), "waist_cm": ("hips", 1.55), "hip_cm": ("hips", 1.95)}
"""The heuristic this project replaces: a joint distance times a constant, scaled by the landmarks' height."""


@dataclass(frozen=True)
class Reply:
    """One answer of the service: HTTP status, body and seconds."""

    status: int
    body: dict[str, object]
    seconds: float


@dataclass
class Side:
    """What one side of the comparison has done so far: pictures, seconds on the clock, seconds of processor."""

    pictures: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def add(self, pictures: int, seconds: float, cpu_seconds: float) -> None:
        """One more turn."""
        self.pictures += pictures
        self.seconds += seconds
        self.cpu_seconds += cpu_seconds

    @property
    def per_second(self) -> float:
        """Pictures a second."""
        return self.pictures / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of processor for one picture."""
        return 1000 * self.cpu_seconds / self.pictures


@dataclass
class Turns:
    """The sides of the comparison: the service; its callers with their photo host (in this process, at the same time,
    on the same processors: they slow the service down by the clock, not by processor time); the bare pose model on the
    photographs as they come, and on the small pictures that the service makes of them."""

    service: Side = field(default_factory=Side)
    callers: Side = field(default_factory=Side)
    bare: Side = field(default_factory=Side)
    bare_on_small: Side = field(default_factory=Side)


@dataclass(frozen=True)
class Run:
    """What was observed of the running service."""

    one_caller: list[Reply]
    many_callers: list[Reply]
    turns: "Turns"
    memory_mb: float
    ready_seconds: float


def main() -> int:
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(prog="scripts.bench_size", description=__doc__)
    parser.add_argument("--bodies", type=Path, default=DEFAULT_BODIES, help="folder with truth.csv and images/")
    parser.add_argument("--csv", type=Path, help="write one line per photograph here")
    parser.add_argument("--serve", type=int, metavar="PORT", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        return _serve(asked.serve)
    ok, refuse = read_truth(asked.bodies), read_truth(asked.bodies, "422")
    pictures = [prepare_picture((asked.bodies / "images" / row["file"]).read_bytes()).rgb for row in ok]
    with (
        _photo_host(asked.bodies / "images") as host,
        _service() as (url, process, ready_seconds),
        native_chatter_dropped(),
    ):
        ask = functools.partial(_ask, urlsplit(url).netloc, host)
        ask(ok[0])
        replies = [ask(row) for row in ok]
        refused = [ask(row) for row in refuse]
        many, turns = _in_turns(ask, ok, asked.bodies / "images", psutil.Process(process.pid))
        memory_mb = psutil.Process(process.pid).memory_full_info().pss / 1e6
    with native_chatter_dropped():
        _print_errors(asked.bodies, ok, replies, pictures)
    _print_refusals(ok, replies, refuse, refused)
    _print_speed(Run(replies, many, turns, memory_mb, ready_seconds))
    if asked.csv:
        _write_csv(asked.csv, [*ok, *refuse], [*replies, *refused])
    return 0


def _serve(port: int) -> int:
    estimator = BodyEstimator()
    estimator.start()
    app = create_app(
        health=lambda: HealthReport(
            model_loaded=estimator.loaded,
            redis_connected=True,
            broker_connected=True,
            consumer_alive=True,
            celery_alive=True,
        ),
        registry=CollectorRegistry(),
        estimator=estimator,
        trusted_hosts=TrustedHosts.parse("127.0.0.1"),
    )
    uvicorn.run(
        app, host="127.0.0.1", port=port, log_config=None, access_log=False, timeout_keep_alive=KEPT_CONNECTION_SECONDS
    )
    return 0


@contextmanager
def _service() -> Iterator[tuple[str, subprocess.Popen[bytes], float]]:
    """The service in a process of its own; yields its address, the process and the seconds to ready."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as probe:
        port = probe.server_address[1]
    started = time.monotonic()
    command = [sys.executable, "-m", "scripts.bench_size", "--serve", str(port)]
    one_blas_thread = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # as size_rec sets it where it is imported first
    process = subprocess.Popen(command, env=one_blas_thread, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}", process, time.monotonic() - started
    finally:
        process.terminate()
        process.wait(READY_TIMEOUT_SECONDS)


def _wait_until_ready(health_url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(health_url).json()["model_loaded"]:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise SystemExit("the service did not become ready")


@contextmanager
def _photo_host(folder: Path) -> Iterator[str]:
    """Serves the folder's photographs from memory with as little work as HTTP allows: it is not what is measured."""
    photos = {f"/{path.name}".encode(): path.read_bytes() for path in folder.iterdir()}

    class PhotoHandler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            photo = photos[self.rfile.readline().split()[1]]
            while self.rfile.readline().strip():
                pass
            head = f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len(photo)}\r\n\r\n"
            self.wfile.write(head.encode() + photo)

    class PhotoServer(socketserver.ThreadingTCPServer):
        daemon_threads = True

    server = PhotoServer(("127.0.0.1", 0), PhotoHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


_local = threading.local()
"""One kept connection for each caller. The standard library's client: it takes a third of httpx's processor time, and
what the callers take is missing to the service, which runs on the same processors."""


def _ask(netloc: str, host: str, row: dict[str, str]) -> Reply:
    if not hasattr(_local, "connection"):
        _local.connection = http.client.HTTPConnection(netloc, timeout=REQUEST_TIMEOUT_SECONDS)
    started = time.perf_counter()
    body = json.dumps({"image_url": f"{host}/{row['file']}", "height_cm": float(row["height_cm"])})
    _local.connection.request("POST", "/estimate-body", body, {"Content-Type": "application/json"})
    response = _local.connection.getresponse()
    answer = json.loads(response.read())
    return Reply(response.status, answer, time.perf_counter() - started)


def _in_turns(
    ask: Callable[[dict[str, str]], Reply], rows: list[dict[str, str]], folder: Path, process: psutil.Process
) -> tuple[list[Reply], Turns]:
    """The service at 8 callers and the bare pose model in turns, so that both meet the same load of the machine."""
    turns = Turns()
    replies: list[Reply] = []
    with ThreadPoolExecutor(CALLERS) as callers, ThreadPoolExecutor(WORKERS, initializer=step_back) as pool:
        models = list(pool.map(_warm_model, [_decoded(folder, rows[0])] * WORKERS))
        for start in PASSES * list(range(0, len(rows), TURN)):
            turn = rows[start : start + TURN]
            cpu, own_cpu, clock = _cpu_seconds(process), time.process_time(), time.perf_counter()
            replies += callers.map(ask, turn)
            seconds = time.perf_counter() - clock
            turns.service.add(len(turn), seconds, _cpu_seconds(process) - cpu)
            turns.callers.add(len(turn), seconds, time.process_time() - own_cpu)
            _bare_turn(turns.bare, pool, models, [_decoded(folder, row) for row in turn])
            _bare_turn(turns.bare_on_small, pool, models, [_small(folder, row) for row in turn])
    return replies, turns


def _decoded(folder: Path, row: dict[str, str]) -> RgbArray:
    with Image.open(folder / row["file"]) as photo:
        return np.asarray(ImageOps.exif_transpose(photo).convert("RGB"))


def _small(folder: Path, row: dict[str, str]) -> RgbArray:
    return prepare_picture((folder / row["file"]).read_bytes()).rgb


def _bare_turn(side: Side, pool: ThreadPoolExecutor, models: list[PoseModel], pictures: list[RgbArray]) -> None:
    cpu, clock = time.process_time(), time.perf_counter()
    list(pool.map(_find_all, models, [pictures[number::WORKERS] for number in range(WORKERS)]))
    side.add(len(pictures), time.perf_counter() - clock, time.process_time() - cpu)


def _warm_model(picture: RgbArray) -> PoseModel:
    """Loaded in the thread that stepped back: the model's own threads inherit its priority, as in the service."""
    model = PoseModel()
    model.find(picture)
    return model


def _find_all(model: PoseModel, pictures: list[RgbArray]) -> None:
    for picture in pictures:
        model.find(picture)


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _print_errors(bodies: Path, ok: list[dict[str, str]], replies: list[Reply], pictures: list[RgbArray]) -> None:
    table = read_bodies(bodies)
    validation = cross_validate(tape_covariance_of(load_body_model()), table)
    unseen = figures_of(answers_of(validation, spread_factors(validation)))
    seen = figures_of(
        [_answered(row, reply) for row, reply in zip(ok, replies, strict=True) if reply.status == HTTPStatus.OK]
    )
    naive = _naive_errors(ok, pictures)
    floor = json.loads(MODEL_FILE.read_text(encoding="utf-8"))["about"]["floor_cm"]
    print(f"\nMean absolute error in cm, {len(ok)} photographs (cross-validated: {FOLDS} parts by body)")
    print(f"{'':12}{'cross-val.':>11}{'close-fit.':>11}{'loose':>8}{'service*':>10}{'naive':>8}{'floor**':>9}")
    for name in ANSWERED:
        groups = [unseen.error_cm[group][name] for group in ("all", "close_fitting", "loose")]
        naive_text = f"{naive[name]:8.2f}" if name in naive else f"{'-':>8}"
        floor_cm = floor.get({"waist_cm": "waist_navel_cm"}.get(name, name))
        floor_text = f"{floor_cm:9.2f}" if floor_cm else f"{'-':>9}"
        columns = f"{groups[0]:11.2f}{groups[1]:11.2f}{groups[2]:8.2f}{seen.error_cm['all'][name]:10.2f}"
        print(f"{name[:-3]:12}{columns}{naive_text}{floor_text}")
    print("*  the running service, whose model has seen these bodies: not a measure of quality")
    print("** ANSUR II, girths from sex, height and calliper breadths measured by hand; waist at the navel")
    print(f"\n{'':34}{'cross-val.':>11}{'service*':>10}")
    for label, value in (
        ("size exact", lambda figures: f"{figures.size_exact:.1%}"),
        ("size within one", lambda figures: f"{figures.size_within_one:.1%}"),
        ("size_range holds the true size", lambda figures: f"{figures.range_holds:.1%}"),
        ("size_range mean width (sizes)", lambda figures: f"{figures.range_width:.2f}"),
        ("confidence vs. error (Spearman)", lambda figures: f"{figures.confidence_rank_correlation:+.2f}"),
    ):
        _print_pair(label, value, unseen, seen)


def _print_pair(label: str, value: Callable[[Figures], str], unseen: Figures, seen: Figures) -> None:
    print(f"{label:34}{value(unseen):>11}{value(seen):>10}")


def _answered(row: dict[str, str], reply: Reply) -> Answered:
    answer = reply.body
    measures, bounds = answer["measurements"], answer["size_range"]
    assert isinstance(measures, dict)  # noqa: S101 - the service's own contract
    assert isinstance(bounds, dict)  # noqa: S101
    return Answered(
        estimate_cm=[measures[name] for name in ANSWERED],
        truth_cm=[float(row[TRUTH_COLUMNS[name]]) for name in ANSWERED],
        size=SIZES.index(str(answer["recommended_size"])),
        lower=SIZES.index(bounds["lower"]),
        upper=SIZES.index(bounds["upper"]),
        confidence=float(str(answer["confidence"])),
        loose=row["loose"] == "1",
    )


def _naive_errors(ok: list[dict[str, str]], pictures: list[RgbArray]) -> dict[str, float]:
    model = PoseModel()
    errors: dict[str, list[float]] = {name: [] for name in NAIVE_MULTIPLIERS}
    for row, picture in zip(ok, pictures, strict=True):
        pose = model.find(picture)
        if pose is not None:
            for name, (joints, factor) in NAIVE_MULTIPLIERS.items():
                width = _joint_width_cm(pose, joints, float(row["height_cm"]))
                errors[name].append(abs(factor * width - float(row[TRUTH_COLUMNS[name]])))
    return {name: statistics.fmean(values) for name, values in errors.items()}


def _joint_width_cm(pose: Pose, joints: str, height_cm: float) -> float:
    rows = pose.landmarks[:, 1]
    left, right = {
        "shoulders": (Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER),
        "hips": (Joint.LEFT_HIP, Joint.RIGHT_HIP),
    }[joints]
    return float(np.hypot(*(pose.point(left) - pose.point(right)))) * height_cm / float(rows.max() - rows.min())


def _print_refusals(
    ok: list[dict[str, str]], replies: list[Reply], refuse: list[dict[str, str]], refused: list[Reply]
) -> None:
    right = sum(reply.status == HTTPStatus.UNPROCESSABLE_ENTITY for reply in refused)
    wrong = [row["file"] for row, reply in zip(ok, replies, strict=True) if reply.status != HTTPStatus.OK]
    reasons = Counter(
        f"{row['kind']}: {reply.body.get('code', 'answered')}" for row, reply in zip(refuse, refused, strict=True)
    )
    print(
        f"\nrefused of those to refuse {right}/{len(refuse)}; of those to answer {len(wrong)}/{len(ok)} {wrong or ''}"
    )
    print("  " + "\n  ".join(f"{reason} ({count})" for reason, count in sorted(reasons.items())))


def _print_speed(run: Run) -> None:
    print(f"\n{'':44}{'P50 ms':>8}{'P95 ms':>8}{'photos/s':>10}{'CPU ms':>8}")
    alone = len(run.one_caller) / sum(reply.seconds for reply in run.one_caller)
    service, bare, small = run.turns.service, run.turns.bare, run.turns.bare_on_small
    for label, replies, rate, cpu in (
        ("service, 1 caller", run.one_caller, alone, ""),
        (f"service, {CALLERS} callers", run.many_callers, service.per_second, f"{service.cpu_ms:.1f}"),
    ):
        p50, p95 = np.percentile([reply.seconds * 1000 for reply in replies], (50, 95))
        print(f"{label:44}{p50:8.0f}{p95:8.0f}{rate:10.1f}{cpu:>8}")
    print(f"{'callers and photo host':44}{'':>26}{run.turns.callers.cpu_ms:8.1f}")
    for label, side in (("the same photographs", bare), ("the small pictures", small)):
        print(f"{f'bare model on {label}, {WORKERS} at a time':44}{'':>16}{side.per_second:10.1f}{side.cpu_ms:8.1f}")
    by_clock, by_cpu = service.per_second / bare.per_second, bare.cpu_ms / service.cpu_ms
    print(
        f"throughput over bare inference: {by_clock:.0%} by the clock, {by_cpu:.0%} by processor time "
        f"(over bare inference on the small pictures {service.per_second / small.per_second:.0%} and "
        f"{small.cpu_ms / service.cpu_ms:.0%})"
    )
    print(f"memory of the service (PSS) {run.memory_mb:.0f} MB; start to ready {run.ready_seconds:.1f} s")
    failed = sum(reply.status != HTTPStatus.OK for reply in run.many_callers)
    print(
        f"RESULT per_s={service.per_second:.1f} bare_per_s={bare.per_second:.1f} over_bare={by_clock:.2f} "
        f"over_bare_cpu={by_cpu:.2f} ready_s={run.ready_seconds:.1f} pss_mb={run.memory_mb:.0f} failed={failed}"
    )


def _write_csv(path: Path, rows: list[dict[str, str]], replies: list[Reply]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "kind", "expect", "status", "seconds", "answer"])
        for row, reply in zip(rows, replies, strict=True):
            answer = json.dumps(reply.body)
            writer.writerow([row["file"], row["kind"], row["expect"], reply.status, f"{reply.seconds:.3f}", answer])


if __name__ == "__main__":
    raise SystemExit(main())
