"""Bytes from outside → a small, upright, plain RGB picture (FR-1.4).

Decoding is where hostile bytes meet C libraries, so everything that only looks comes first
(``services/images/opening.py``). Only then is anything decoded, at reduced scale where the format allows
(``services/images/shrinking.py``), and only a few pictures at a time over the whole process.
"""

import fcntl
import io
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from PIL.ImageFile import ImageFile

from models.failures import IncompletePicture, NotAnImage
from services.images.decode_slots import DecodeSlots
from services.images.incomplete_pictures import completions, ends_in_zeros
from services.images.limits import DECODE_LIMITS, DecodeLimits
from services.images.opening import FORMATS_OF_UNSURE_SIZE, MUST_DIFFER, open_picture, peak_decode_bytes
from services.images.shrinking import FOR_MEASURING, ContentBox, shrunken_rgb

MAX_SIDE_PX = 1024
"""FR-1.4: what the provider is sent."""

JPEG_QUALITY = 91
"""What is lost above this is invisible next to what the provider's own scaling loses; 95 adds 40 % more bytes. With 90,
two photographs of 12 megapixels stay a hair below 43 dB against a full decode and Pillow's own resizing."""

JPEG_SUBSAMPLING = "4:4:4"
"""Full colour resolution: fine coloured patterns of clothes survive, for 2 ms more and a third more bytes."""

CONCURRENT_PICTURES = 2
"""Pictures being decoded or encoded at most at a time in a process: Pillow releases the interpreter lock, the container
has two processors, and more would only hold more bitmaps."""

PATIENCE_SECONDS = 0.2
"""How long a picture waits for the one before it until it is worked on beside it: longer than a JPEG of 24 megapixels
takes, so that those go one after the other, and short beside the provider's 30 s."""

_decode_slots = DecodeSlots(CONCURRENT_PICTURES, PATIENCE_SECONDS)
_large_decode = threading.Lock()


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """A picture ready for the provider: an upright sRGB JPEG without metadata, and its size in pixels."""

    jpeg: bytes = field(repr=False)
    width: int
    height: int


def prepare_image(
    data: bytes, max_side_px: int = MAX_SIDE_PX, *, limits: DecodeLimits = DECODE_LIMITS
) -> PreparedImage:
    """Make any accepted picture a JPEG of at most ``max_side_px`` on its longer side; never enlarged.

    JPEG, PNG, WebP, AVIF, HEIC and GIF are accepted (the first frame of an animation). Crop and orientation are
    applied, transparency becomes white, colours become sRGB, metadata is left behind. Of JPEG, WebP and HEIC the last
    bytes may be missing, as long as nothing visible is lost. Blocks while ``CONCURRENT_PICTURES`` others are being
    worked on.

    Raises:
        NotAnImage: another format, or a broken picture.
        IncompletePicture: the file ends too early, and a part of the picture is lost.
        ImageTooLarge: more pixels than ``max_pixels``, or than can be decoded in the memory there is.
    """
    with _opened(data, limits) as (picture, other), _decode_slot(picture, other, limits):
        rgb = shrunken_rgb(picture, max_side_px, other=other)
        return PreparedImage(_encoded_jpeg(rgb), rgb.width, rgb.height)


def load_rgb(
    data: bytes, max_side_px: int, *, content_box: ContentBox | None = None, limits: DecodeLimits = DECODE_LIMITS
) -> Image.Image:
    """Decode any accepted picture to an upright RGB image of at most ``max_side_px``, for size recommendation; with a
    ``content_box``, only what is in it.

    Errors are those of ``prepare_image``.
    """
    with _opened(data, limits) as (picture, other), _decode_slot(picture, other, limits):
        return shrunken_rgb(picture, max_side_px, FOR_MEASURING, content_box, other)


def _encoded_jpeg(rgb: Image.Image) -> bytes:
    jpeg = io.BytesIO()
    rgb.info.clear()  # Pillow writes the comment and the resolution it finds there
    rgb.save(jpeg, "JPEG", quality=JPEG_QUALITY, subsampling=JPEG_SUBSAMPLING)
    return jpeg.getvalue()


@contextmanager
def _opened(data: bytes, limits: DecodeLimits) -> Iterator[tuple[ImageFile, ImageFile | None]]:
    """The picture; if its file was cut off, completed in two ways."""
    versions = completions(data)
    try:
        with ExitStack() as opened:
            picture, *others = [opened.enter_context(open_picture(one, limits)) for one in versions]
            if others and 2 * peak_decode_bytes(picture) > limits.max_decode_bytes:
                raise IncompletePicture("too large to be decoded twice")
            if others and ends_in_zeros(data):
                others[0].info[MUST_DIFFER] = True
            yield picture, others[0] if others else None
    except NotAnImage as error:
        if versions[0] is data:
            raise
        raise IncompletePicture("what is missing cannot be filled in") from error


def _is_large(picture: ImageFile, other: ImageFile | None, large_decode_bytes: int) -> bool:
    needed_bytes = peak_decode_bytes(picture) * (1 if other is None else 2)
    return picture.format in FORMATS_OF_UNSURE_SIZE or needed_bytes > large_decode_bytes


@contextmanager
def _decode_slot(picture: ImageFile, other: ImageFile | None, limits: DecodeLimits) -> Iterator[None]:
    # The large wait for each other outside the slots: they must not keep small ones from the second slot.
    is_large = _is_large(picture, other, limits.large_decode_bytes)
    with _alone_among_processes() if is_large else nullcontext(), _decode_slots.held():
        yield


@contextmanager
def _alone_among_processes() -> Iterator[None]:
    """Hold the lock for large pictures; the kernel gives it back when the holder is killed.

    Its name is this file, which every process of the installation has and nobody else locks; nothing is written. Opened
    anew each time, since flock(2) is between openings. Where the system refuses that, the guard is each process's own:
    no reason to refuse a picture.
    """
    with _large_decode, ExitStack() as lock:
        with suppress(OSError):
            fcntl.flock(lock.enter_context(Path(__file__).open("rb")), fcntl.LOCK_EX)
        yield
