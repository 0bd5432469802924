"""The rendered photographs of ``tests/data/bodies``, and a loopback host that serves them and worse things."""

import http.server
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from PIL import Image

from services.images.processor import load_rgb
from size_rec.body.fitted import load_fitted
from size_rec.calibration.tables import read_truth
from size_rec.measuring import Measured, measure_picture
from size_rec.photo.picture import prepare_picture
from size_rec.pose.model import PoseModel
from size_rec.pose.pose import FloatArray

BODIES = Path(__file__).parents[1] / "data" / "bodies"


def photo(name: str) -> bytes:
    """The photograph as stored."""
    return (BODIES / "images" / name).read_bytes()


def truth() -> dict[str, dict[str, str]]:
    """What is known of every photograph, by file name."""
    return {row["file"]: row for expect in ("ok", "422") for row in read_truth(BODIES, expect)}


def decoded(name: str) -> Image.Image:
    """The photograph as an upright picture."""
    return load_rgb(photo(name), 4096)


def as_bytes(image: Image.Image) -> bytes:
    """The picture without loss (uncompressed PNG, which is quick)."""
    data = io.BytesIO()
    image.save(data, "PNG", compress_level=0)
    return data.getvalue()


def as_jpeg(image: Image.Image, quality: int = 95) -> bytes:
    """The picture as an app would send it."""
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return data.getvalue()


def no_photos() -> dict[str, tuple[str, bytes]]:
    """Things for :func:`photo_host` that are no photographs: a page, half a JPEG, and more than 10 MB."""
    return {
        "page.html": ("text/html", b"<html>signed-in users only</html>"),
        "broken.jpg": ("image/jpeg", photo("b0001.jpg")[:2_000]),
        "huge.jpg": ("image/jpeg", b"\xff\xd8\xff" + bytes(11 * 1024 * 1024)),
    }


@cache
def pose_model() -> PoseModel:
    """One loaded model for all tests of this process."""
    return PoseModel()


def measure(data: bytes, height_cm: float, weight_kg: float | None = None) -> Measured:
    """What the service would learn from these bytes and a measured height."""
    return measure_picture(
        prepare_picture(data),
        pose_model(),
        load_fitted(),
        height_cm=height_cm,
        weight_kg=weight_kg,
        height_measured=True,
    )


def measures(data: bytes, height_cm: float) -> FloatArray:
    """Chest, waist, hip, shoulder and inseam in cm."""
    return measure(data, height_cm).estimate.mean_cm


@contextmanager
def photo_host(extra: dict[str, tuple[str, bytes]]) -> Iterator[str]:
    """Serve the photographs by name, and ``extra`` by path as (content type, bytes); yields the base address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.split("?")[0].lstrip("/")
            found = name in extra or (BODIES / "images" / name).is_file()
            kind, body = extra.get(name) or ("image/jpeg", photo(name) if found else b"")
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(ConnectionError):  # a caller that has read enough hangs up
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
