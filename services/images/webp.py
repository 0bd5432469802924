"""A Pillow plugin for WebP that decodes at reduced scale, by asking libwebp itself (ADR 0017).

Pillow's own decodes every WebP as an animation, in full: 16.5 bytes for each pixel, and three times as long. The
libwebp asked here is the one that Pillow's extension module is linked with; what is left to Pillow is everything around
the pixels, and animations.

Structures and names are those of libwebp's ``decode.h``, whose binary interface has been the same since 2016 (libwebp
checks the version it is asked with).
"""

import ctypes
from ctypes import Structure, Union, addressof, byref, c_char, c_int, c_size_t, c_uint32, c_void_p
from typing import Any, ClassVar, Final

from PIL import Image, _webp
from PIL.ImageFile import ImageFile
from PIL.WebPImagePlugin import WebPImageFile

DECODER_ABI_VERSION: Final = 0x0209
STATUS_OK: Final = 0
MODE_RGB, MODE_RGBA = 0, 1
FORMAT_LOSSLESS: Final = 2

ANIMATION_BYTES_PER_PIXEL: Final = 16.5
"""Pillow's way: two canvases in libwebp's animation decoder, the frame as bytes, and the picture."""
ALPHA_BYTES_PER_PIXEL: Final = 8
"""The whole picture, and as much again in the lossless decoder."""
LOSSLESS_BYTES_PER_PIXEL: Final = 4.5
"""The lossless decoder holds the whole picture; the reduced one comes on top."""
LOSSY_BYTES_PER_PIXEL: Final = 0.5
"""Some rows. All four were measured with Pillow 13.0 (libwebp 1.6) on pictures of 12 and 48 megapixels."""


class _Features(Structure):
    _fields_: ClassVar = [
        ("width", c_int),
        ("height", c_int),
        ("has_alpha", c_int),
        ("has_animation", c_int),
        ("format", c_int),
        ("pad", c_uint32 * 5),
    ]


class _RgbaBuffer(Structure):
    _fields_: ClassVar = [("rgba", c_void_p), ("stride", c_int), ("size", c_size_t)]


class _YuvaBuffer(Structure):
    _fields_: ClassVar = [("planes", c_void_p * 4), ("strides", c_int * 4), ("sizes", c_size_t * 4)]


class _Pixels(Union):
    _fields_: ClassVar = [("rgba", _RgbaBuffer), ("yuva", _YuvaBuffer)]


class _Output(Structure):
    _fields_: ClassVar = [
        ("colorspace", c_int),
        ("width", c_int),
        ("height", c_int),
        ("is_external_memory", c_int),
        ("pixels", _Pixels),
        ("pad", c_uint32 * 4),
        ("private_memory", c_void_p),
    ]


class _Options(Structure):
    _fields_: ClassVar = [
        ("bypass_filtering", c_int),
        ("no_fancy_upsampling", c_int),
        ("use_cropping", c_int),
        ("crop", c_int * 4),
        ("use_scaling", c_int),
        ("scaled_width", c_int),
        ("scaled_height", c_int),
        ("use_threads", c_int),
        ("dithering_strength", c_int),
        ("flip", c_int),
        ("alpha_dithering_strength", c_int),
        ("pad", c_uint32 * 5),
    ]


class _DecoderConfig(Structure):
    _fields_: ClassVar = [("input", _Features), ("output", _Output), ("options", _Options)]


def _libwebp() -> ctypes.CDLL | None:
    """The libwebp that Pillow is linked with; ``None`` where it is linked statically and cannot be called from here."""
    library = ctypes.CDLL(_webp.__file__)
    return library if hasattr(library, "WebPDecode") else None


class ScaledWebPFile(WebPImageFile):
    """A WebP file.

    A still, opaque one is decoded at the scale :meth:`draft` is asked for; a still one with transparency in full and
    without copies (shrunk beforehand, the colours of what is transparent would bleed in); an animation as by Pillow.
    """

    library: ClassVar[ctypes.CDLL | None] = _libwebp()
    """Without it every WebP is decoded as by Pillow."""

    def _open(self) -> None:
        super()._open()
        assert self.fp is not None  # noqa: S101 - as in Pillow; it holds the file's bytes
        self.fp.seek(0)
        self._file: bytes | None = self.fp.read()
        self._config = _config_for(self._file, self.library)
        if self._config is not None:
            self._mode = "RGBA" if self._config.input.has_alpha else "RGB"
        elif self.is_animated:
            # Whatever the file says of alpha: where the first frame does not reach, libwebp's canvas is transparent,
            # and its colour there is black.
            self.rawmode = self._mode = "RGBA"

    @property
    def peak_bytes_per_pixel(self) -> float:
        """The most memory that decoding takes, for each pixel of the file."""
        if self._config is None:
            return ANIMATION_BYTES_PER_PIXEL
        if self._config.input.has_alpha:
            return ALPHA_BYTES_PER_PIXEL
        lossless = self._config.input.format == FORMAT_LOSSLESS
        return LOSSLESS_BYTES_PER_PIXEL if lossless else LOSSY_BYTES_PER_PIXEL

    def draft(self, mode: str | None, size: tuple[int, int] | None) -> tuple[str, tuple[int, int, float, float]] | None:
        """Decode to ``size`` instead, if that is smaller; as ``PIL.Image.Image.draft``."""
        scalable = self._config is not None and self._file is not None and self.mode == "RGB"
        if size is None or not scalable or size[0] > self.width or size[1] > self.height:
            return None
        self._size = size
        return self.mode, (0, 0, *size)

    def load(self) -> Any:  # Pillow's type for it exists for type checkers only
        """Decode, once.

        Raises:
            OSError: the file is broken or incomplete.
        """
        if self._config is None or self.library is None:
            return super().load()
        if self._file is not None:
            file, self._file = self._file, None
            self.im = _decoded(file, self.library, self._config, self.mode, self.size).im
            self._decoder = None  # it has a copy of the file
        return ImageFile.load(self)


def _config_for(file: bytes, library: ctypes.CDLL | None) -> _DecoderConfig | None:
    """How libwebp is to decode ``file``; ``None`` if that is Pillow's matter."""
    config = _DecoderConfig()
    if library is None or not library.WebPInitDecoderConfigInternal(byref(config), DECODER_ABI_VERSION):
        return None
    status = library.WebPGetFeaturesInternal(file, c_size_t(len(file)), byref(config.input), DECODER_ABI_VERSION)
    return None if status != STATUS_OK or config.input.has_animation else config


def _decoded(
    file: bytes, library: ctypes.CDLL, config: _DecoderConfig, mode: str, size: tuple[int, int]
) -> Image.Image:
    width, height = size
    stride = width * len(mode)
    pixels = bytearray(stride * height)
    config.output.colorspace = MODE_RGBA if mode == "RGBA" else MODE_RGB
    config.output.is_external_memory = 1
    config.output.pixels.rgba = _RgbaBuffer(addressof(c_char.from_buffer(pixels)), stride, len(pixels))
    config.options.use_scaling = size != (config.input.width, config.input.height)
    config.options.scaled_width, config.options.scaled_height = size
    status = library.WebPDecode(file, c_size_t(len(file)), byref(config))
    if status != STATUS_OK:
        raise OSError(f"libwebp cannot decode the file (VP8StatusCode {status})")
    return Image.frombuffer(mode, size, pixels, "raw", mode, 0, 1)


def register_scaled_webp_opener() -> None:
    """Let ``PIL.Image.open`` use this plugin for WebP, after ``PIL.Image.init``."""
    _, accept = Image.OPEN[WebPImageFile.format]
    Image.register_open(WebPImageFile.format, ScaledWebPFile, accept)
