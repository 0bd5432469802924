#!/usr/bin/env bash
# MediaPipe 0.10.21, pose_detection.tflite: the detector gives a width and a height with each of its 2254 boxes, and the
# graph (pose_detection_cpu.pbtxt) drops boxes that overlap a more certain one by more than 0.3 of their union. One expects
# small boxes on small people. But every box that has any certainty is a square of 45 of the input's 224 samples, whatever
# is in it, and those of the coarsest grid (the last 294) have no size at all. So the overlap is nothing but a distance:
# two people are one when their boxes are within 24 samples of each other, a tenth of the picture, however small they are.
# How large somebody is shows only in the distances between the box's four points.
#
# Seen in November 2026 with ai-edge-litert 2.3.0:
#   a figure of 200  19 boxes above -3.0, the most certain  2.7: 44.6 to 44.9 samples; largest of the coarsest grid 0.8
#   a figure of 100  14 boxes above -3.0, the most certain  4.3: 44.6 to 44.9 samples; largest of the coarsest grid 0.8
#   a figure of 50   14 boxes above -3.0, the most certain -0.1: 44.5 to 44.9 samples; largest of the coarsest grid 0.7
#   noise            38 boxes above -3.0, the most certain -1.9: 44.7 to 45.0 samples; largest of the coarsest grid 0.4
#
# Needs Linux on x86-64, Python 3.11 to 3.13 and pip (fetches 60 MB). Exits non-zero if that changes. What to do: tell
# people apart by their points, and look for somebody small in a part of the picture that is enlarged.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check)
"${pip[@]}" install ai-edge-litert==2.3.0 numpy==2.4.6 pillow==13.0.0
"${pip[@]}" download --no-deps --only-binary=:all: --python-version 3.12 --abi cp312 --implementation cp \
	--platform manylinux_2_28_x86_64 --dest "$folder" mediapipe==0.10.21

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
import zipfile
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageDraw

FOLDER = Path(sys.argv[1])
MEMBER = "mediapipe/modules/pose_detection/pose_detection.tflite"
SAMPLES = 224
MIN_LOGIT = -3.0
COARSEST = 294


def figure(height):
    """A plain person in the middle of a light picture, drawn large and shrunk; ``height`` in samples of the input."""
    fine = 4 * SAMPLES
    picture = Image.new("RGB", (fine, fine), (215, 215, 210))
    draw = ImageDraw.Draw(picture)
    tall, middle, crown = 4 * height, fine / 2, (fine - 4 * height) / 2

    def fill(shape, left, top, right, bottom, colour):
        shape((middle + left * tall, crown + top * tall, middle + right * tall, crown + bottom * tall), fill=colour)

    skin, hair, shirt, trousers, shoes = (210, 160, 135), (60, 40, 30), (170, 40, 50), (40, 50, 110), (30, 30, 30)
    fill(draw.rectangle, -0.025, 0.1, 0.025, 0.19, skin)
    fill(draw.rounded_rectangle, -0.105, 0.17, 0.105, 0.5, shirt)
    for side in (-1, 1):
        for inner, outer, top, bottom, colour in (
            (0.11, 0.15, 0.18, 0.32, shirt),
            (0.115, 0.145, 0.32, 0.5, skin),
            (0.01, 0.1, 0.48, 0.94, trousers),
            (0.01, 0.11, 0.94, 1.0, shoes),
        ):
            left, right = sorted((side * inner, side * outer))
            fill(draw.rectangle, left, top, right, bottom, colour)
    fill(draw.ellipse, -0.055, -0.005, 0.055, 0.14, hair)
    fill(draw.ellipse, -0.048, 0.025, 0.048, 0.145, skin)
    for side in (-1, 1):
        fill(draw.ellipse, side * 0.02 - 0.009, 0.066, side * 0.02 + 0.009, 0.078, (250, 250, 250))
        fill(draw.ellipse, side * 0.02 - 0.005, 0.066, side * 0.02 + 0.005, 0.078, (30, 25, 20))
        fill(draw.rectangle, side * 0.02 - 0.012, 0.056, side * 0.02 + 0.012, 0.06, hair)
    fill(draw.ellipse, -0.018, 0.112, 0.018, 0.121, (160, 70, 70))
    small = picture.resize((SAMPLES, SAMPLES), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32) / 127.5 - 1


PICTURES = {f"a figure of {height}": figure(height) for height in (200, 100, 50)} | {
    "noise": np.random.default_rng(0).uniform(-1, 1, (SAMPLES, SAMPLES, 3)).astype(np.float32)
}

with zipfile.ZipFile(next(FOLDER.glob("mediapipe-*.whl"))) as wheel:
    network = Interpreter(model_content=wheel.read(MEMBER))
network.allocate_tensors()
changed = False
for name, pixels in PICTURES.items():
    network.set_tensor(network.get_input_details()[0]["index"], pixels[None])
    network.invoke()
    boxes, logits = (network.get_tensor(output["index"])[0] for output in network.get_output_details())
    sizes = boxes[logits[:, 0] > MIN_LOGIT, 2:4]
    coarse = np.abs(boxes[-COARSEST:, 2:4]).max()
    print(
        f"{name:15} {len(sizes):3} boxes above {MIN_LOGIT}, the most certain {logits.max():4.1f}: "
        f"{sizes.min():.1f} to {sizes.max():.1f} samples; largest of the coarsest grid {coarse:.1f}"
    )
    changed |= len(sizes) == 0 or sizes.min() < 43 or sizes.max() > 46 or coarse > 1
print("changed" if changed else "as in November 2026")
sys.exit(bool(changed))
PYTHON
