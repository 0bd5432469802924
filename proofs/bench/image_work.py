"""The bare image work of a generation: what Pillow alone needs to make the same JPEGs from the same inputs."""

import io
import time
from collections.abc import Sequence
from typing import Final

from PIL import Image

from services.images.processor import JPEG_QUALITY, JPEG_SUBSAMPLING, MAX_SIDE_PX
from services.images.shrinking import FOR_THE_EYE

ROUNDS: Final = 12
"""Of both pictures, before and again after the measurement beside it: half a minute would be as exact as 3 s."""


def bare_image_work(jpeg: bytes) -> bytes:
    """Decode at the reduced scale, resize, encode; no check, no orientation, no colour profile.

    The same scale, filter and quality as ``prepare_image``: ``Image.thumbnail`` with its defaults takes longer.
    """
    with Image.open(io.BytesIO(jpeg)) as picture:
        factor = MAX_SIDE_PX / max(picture.size)
        target = (round(picture.width * factor), round(picture.height * factor))
        picture.draft(None, (int(target[0] * FOR_THE_EYE.oversampling), int(target[1] * FOR_THE_EYE.oversampling)))
        small = picture.resize(target, FOR_THE_EYE.resampling, reducing_gap=FOR_THE_EYE.oversampling)
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
