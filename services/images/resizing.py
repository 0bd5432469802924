"""Resizing of decoded pictures: by SIMD instructions where there is a library for it, else by Pillow (ADR 0034). Pure.

Both shrink to the same pixels, within one level of 255.
"""

from importlib import import_module
from typing import Any, Final

from PIL import Image
from PIL.Image import Resampling

Box = tuple[float, float, float, float]
"""left, top, right, bottom in pixels."""


def _simd_library() -> Any:
    """fast_image_resize's package; ``None`` where it has no wheel: on Linux on arm64."""
    try:
        return import_module("cykooz_resizer")
    except ImportError:
        return None


_SIMD_LIBRARY: Final = _simd_library()

_SIMD_FILTERS: Final = {Resampling.BICUBIC: "catmull_rom"}
"""Pillow's filter → the library's name for the same one. Not the bilinear one: size recommendation uses it, and was
calibrated and tested on Pillow's pixels."""

_SIMD_MODES: Final = frozenset({"L", "RGB", "CMYK"})
"""Modes whose channels may be averaged each by itself, as stored."""


def resized(
    image: Image.Image,
    size: tuple[int, int],
    resampling: Resampling,
    *,
    box: Box | None,
    reducing_gap: float,
    library: Any = _SIMD_LIBRARY,
) -> Image.Image:
    """``image``, or what is in ``box``, at ``size``; the arguments are those of ``PIL.Image.Image.resize``.

    ``reducing_gap`` is a short cut for Pillow alone: the library is quicker without it, and more exact. Without a
    ``library`` all is left to Pillow.
    """
    simd_filter = _SIMD_FILTERS.get(resampling)
    if library is None or simd_filter is None or image.mode not in _SIMD_MODES:
        return image.resize(size, resampling, box=box, reducing_gap=reducing_gap)
    left, top, right, bottom = box or (0, 0, *image.size)
    options = library.ResizeOptions(
        resize_alg=library.ResizeAlg.convolution(getattr(library.FilterType, simd_filter)),
        crop_box=library.CropBox(left, top, right - left, bottom - top),
    )
    smaller = Image.new(image.mode, size)
    # A new one each time: it keeps its buffers, and lets one thread in.
    library.Resizer().resize_pil(image, smaller, options)
    return smaller
