"""The bare image work of a generation: what Pillow alone needs to make such JPEGs from the same inputs.

Its settings are those that the worker had when this became the reference. They stay as they are, whatever the worker
does, so that figures of different versions can be compared.
"""

import io
import time
from collections.abc import Sequence
from typing import Final

from PIL import Image

MAX_SIDE_PX: Final = 1024
OVERSAMPLING: Final = 1.25
"""How much larger than the result the decoder leaves the picture at least, for the resampling."""
JPEG_QUALITY: Final = 90
JPEG_SUBSAMPLING: Final = "4:4:4"

ROUNDS: Final = 12
"""Of both pictures, before and again after the measurement beside it: half a minute would be as exact as 3 s."""


def bare_image_work(jpeg: bytes) -> bytes:
    """Decode at the reduced scale, resize, encode; no check, no orientation, no colour profile.

    ``Image.thumbnail`` with its defaults takes longer.
    """
    with Image.open(io.BytesIO(jpeg)) as picture:
        factor = MAX_SIDE_PX / max(picture.size)
        target = (round(picture.width * factor), round(picture.height * factor))
        picture.draft(None, (int(target[0] * OVERSAMPLING), int(target[1] * OVERSAMPLING)))
        small = picture.resize(target, Image.Resampling.BICUBIC, reducing_gap=OVERSAMPLING)
    output = io.BytesIO()
    small.save(output, "JPEG", quality=JPEG_QUALITY, subsampling=JPEG_SUBSAMPLING)
    return output.getvalue()


def bare_cpu_seconds(jpegs: Sequence[bytes], rounds: int = ROUNDS) -> float:
    """Processor time of the bare work on one set of inputs, averaged over ``rounds``."""
    for jpeg in jpegs:
        bare_image_work(jpeg)
    started = time.thread_time()
    for _ in range(rounds):
        for jpeg in jpegs:
            bare_image_work(jpeg)
    return (time.thread_time() - started) / rounds
