"""``make reference-landmarks``: where MediaPipe's own graph sees the landmarks, for the test that compares with it.

The graph needs an environment of its own (``make reference``), which most machines cannot have; what it sees in the
photographs of this repository does not change, so it is stored. The test refuses the file when a photograph is another.
"""

import csv
import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np

from proofs.bench_size.bare_model import BareModel, decoded
from size_rec.cli.native_chatter import native_chatter_dropped

BODIES: Final = Path("tests/data/bodies")
LANDMARKS_FILE: Final = BODIES / "mediapipe_landmarks.json"
PHOTOGRAPHS: Final = slice(0, 200, 20)
"""Of those to be answered: ten from all over the set."""
DECIMALS: Final = 2
"""Of a pixel."""


def main() -> int:
    """Write the file; returns the exit status."""
    with (BODIES / "truth.csv").open(newline="", encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["expect"] == "ok"][PHOTOGRAPHS]
    with native_chatter_dropped():
        model = BareModel()
        seen = {name: _seen(model, BODIES / "images" / name) for name in names}
    about = {"made_by": "make reference-landmarks", "mediapipe": version("mediapipe"), "unit": "pixels, x and y"}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(one)}" for name, one in seen.items())
    LANDMARKS_FILE.write_text(
        f'{{\n "about": {json.dumps(about)},\n "photographs": {{\n{lines}\n }}\n}}\n', encoding="utf-8"
    )
    print(f"{LANDMARKS_FILE}: {len(seen)} photographs")
    return 0


def _seen(model: BareModel, path: Path) -> dict[str, object]:
    return {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "landmarks": np.round(model.joints(decoded(path)), DECIMALS).tolist(),
    }


if __name__ == "__main__":
    raise SystemExit(main())
