"""Pictures in and out: orientation, colour profile, alpha, bit depth, metadata.

A file is met in one order: what is it, how large is it, make it smaller, convert its colours *in its own mode*, turn it
upright, make it a tensor. libvips streams it through in strips, so only the result is held in memory as floats.
"""

from __future__ import annotations

import importlib
import io
import math
import os
import tempfile
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyvips
import torch
from numpy.typing import NDArray
from PIL import ExifTags
from PIL import Image as PillowImage
from torch import Tensor
from torch.nn.functional import interpolate

from impasto.errors import ImageError, ImpastoError, SettingsError
from impasto.images.catalogue import Catalogue, catalogue_in
from impasto.images.formats import FORMATS, damaged, kind_of, open_picture, vips_errors
from impasto.images.limits import LONGEST_SIDE, check_exif, check_structure
from impasto.images.metadata import clean_exif, density_in, sane_density, settings_in
from impasto.images.origin import Origin
from impasto.images.writing import check_writable, to_pil, vips_image, write_image
from impasto.objective.memory import memory_budget

__all__ = [
    "Picture",
    "check_writable",
    "dimensions",
    "fit",
    "read_image",
    "read_key",
    "read_origin",
    "read_settings",
    "resize",
    "to_image",
    "to_pil",
    "write_image",
]

MAX_PIXELS = 400_000_000
MAX_BYTES = 4 * 2**30
_BLOCK = 2**20  # bytes copied at a time
MINIMUM_SIDE = 16  # VGG-19 halves a picture four times before relu5_1: a pixel must be left there

FREELY = 256e6  # bytes that may be taken whatever `memory` says
_ROWS = 2500  # that libvips holds while it streams a picture through, with all its threads; measured with two
_WHOLE = {"WebP": 4.0, "AVIF": 16.0, "HEIC": 16.0}  # bytes per pixel of codecs that decode all at once; measured

_OUT_OF_RANGE = 0.5 / 255  # floats may leave [0, 1] by half a grey level, as after resizing


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture ready to be painted, and what its file said about it."""

    image: Tensor  # (1, 3, height, width) float32 sRGB in [0, 1], not multiplied by alpha
    alpha: Tensor | None  # (1, 1, height, width) float32, 1 is opaque; None if the picture is opaque
    full_height: int  # before resizing, upright
    full_width: int
    metadata: bytes | None = None  # EXIF of the photograph (camera, date, copyright, location), for `write_image`
    settings: str | None = None  # JSON of the settings it was painted with, if we did
    density: float | None = None  # dots per inch across; None if the file says none
    catalogue: Catalogue | None = None  # its keywords, rating, title, ..., for `write_image`
    origin: Origin | None = None  # from what it was painted, if we did


@dataclass(frozen=True)
class _Allowed:
    """What reading a picture may take: as for `read_image`."""

    pixels: int = MAX_PIXELS
    bytes: float = math.inf
    memory: str = "auto"


def read_image(
    path: str | Path,
    size: int | None = None,
    *,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
    max_memory: float = math.inf,
    memory: str = "auto",
) -> Picture:
    """Read a JPEG, PNG, TIFF, WebP, AVIF or (with pillow-heif installed) HEIC file, upright and in sRGB.

    Args:
        path: the file; its content decides what it is, not its extension. Of several pages or frames, the first.
        size: longer side of the result in pixels; None for the picture's own size. The shorter side follows.
        max_pixels: refuse a picture with more, before anything is decoded.
        max_bytes: refuse a file with more.
        max_memory: refuse a picture that would take more bytes of memory, before it is decoded.
        memory: that may be used, as `Settings.memory`: a picture that would take more is refused before it is decoded.

    Raises:
        ImageError: the file is missing, unreadable, damaged, not a picture, too large or too small.
    """
    path = Path(path)
    with open_picture(path, max_bytes) as (file, kind):
        return _read(str(path), file, kind, path.stat().st_size, size, _Allowed(max_pixels, max_memory, memory))


def _read(name: str, file: BinaryIO, kind: str, length: int, size: int | None, allowed: _Allowed) -> Picture:
    with vips_errors(name):
        check_structure(name, file, kind, length)
        if kind == "HEIC":
            return _read_heic(name, file, size, allowed)
        image = _load(file, kind)
        _check_extent(name, image.height, image.width, allowed.pixels)
        _check_memory(name, reading_bytes(image, kind, size), allowed)
        block = _field(image, "exif-data")
        if block is not None:
            check_exif(name, block)  # again, since the pieces of an AVIF's are put together only now
        picture = _picture(name, image, size)
        metadata = clean_exif(file if kind == "TIFF" else block, keep_location=True)
        xmp = _field(image, "xmp-data")
        return _said(replace(picture, metadata=metadata), xmp)


def to_image(source: Any, size: int | None = None, memory: str = "auto") -> Picture:
    """A picture from whatever holds one.

    Args:
        source: a path; the bytes of a file, or a file opened in binary; a Pillow image of any mode (its colour profile
            and EXIF orientation count); a numpy array (H, W), (H, W, 3) or (H, W, 4) of uint8, uint16 or floats in
            [0, 1]; or a torch tensor (3, H, W) or (1, 3, H, W) of floats in [0, 1], whose device is kept.
        size: longer side of the result in pixels; None for the picture's own size.
        memory: that reading a file may use, as for `read_image`.

    Raises:
        ImageError: the file cannot be read, or the picture is too small.
        SettingsError: an array of another shape or type, or values outside [0, 1], or NaN.
    """
    if isinstance(source, Picture):
        return _resized(source, size)
    if isinstance(source, str | os.PathLike):
        return read_image(Path(source), size, memory=memory)
    if isinstance(source, bytes | bytearray | memoryview):
        return _read_stream("the picture (bytes)", io.BytesIO(source), size, memory)
    if isinstance(source, io.IOBase) or hasattr(source, "read"):
        return _read_stream("the picture (file object)", source, size, memory)
    if isinstance(source, PillowImage.Image):
        return _from_pillow("the Pillow image", source, size, MAX_PIXELS)
    if isinstance(source, np.ndarray):
        return _from_array(source, size)
    if isinstance(source, Tensor):
        return _resized(_from_tensor(source), size)
    raise SettingsError(
        f"a {type(source).__name__} is not a picture; give a path, the bytes of a file or an open one, a Pillow image, "
        "a numpy array or a torch tensor"
    )


def _read_stream(name: str, source: Any, size: int | None, memory: str) -> Picture:
    """A picture from what can be read, from where it stands: by way of a file without a name, which libvips needs."""
    with tempfile.TemporaryFile(buffering=0) as file:
        left = MAX_BYTES + 1
        while left and (block := source.read(min(left, _BLOCK))):
            if not isinstance(block, bytes):
                raise SettingsError(f"{name} gives {type(block).__name__}, not bytes; open it with mode 'rb'")
            file.write(block)
            left -= len(block)
        length = MAX_BYTES + 1 - left
        kind = kind_of(name, file, length, MAX_BYTES)
        return _read(name, file, kind, length, size, _Allowed(memory=memory))


def resize(image: Tensor, height: int, width: int) -> Tensor:
    """Resize (B, C, H, W), bicubic and antialiased; the result stays within each channel's range.

    Bicubic overshoots at edges; clamping to the range that was there keeps [0, 1], and a constant exactly constant.
    Computed on the CPU for any device: CUDA refuses to shrink much (pytorch/vision#7671), MPS lacked antialiasing.
    """
    if tuple(image.shape[-2:]) == (height, width):
        return image
    if width == 1 < height:  # torch 2.13 reads the wrong rows when the result has one column, not when it has one row
        return resize(image.mT, 1, height).mT
    if height == width == 1:
        smooth = image.mean((2, 3), keepdim=True)
    else:
        smooth = interpolate(image.cpu(), (height, width), mode="bicubic", antialias=True, align_corners=False)
    return smooth.to(image.device).clamp(image.amin((2, 3), keepdim=True), image.amax((2, 3), keepdim=True))


def fit(height: int, width: int, size: int) -> tuple[int, int]:
    """Height and width with the longer side exactly `size` and the shorter side in proportion, at least 1."""
    longer = max(height, width)
    return max(1, round(height * size / longer)), max(1, round(width * size / longer))


def dimensions(path: str | Path) -> tuple[int, int]:
    """Height and width of a picture, upright; only its header is read.

    Raises:
        ImageError: the file is missing, unreadable or not a picture.
    """
    path = Path(path)
    with open_picture(path, MAX_BYTES) as (file, kind), vips_errors(path):
        check_structure(str(path), file, kind, path.stat().st_size)
        if kind == "HEIC":
            picture = _read_heic(str(path), file, MINIMUM_SIDE, _Allowed())
            return picture.full_height, picture.full_width
        image = _load(file, kind)
        on_its_side = (_field(image, "orientation") or 1) >= 5
        return (image.width, image.height) if on_its_side else (image.height, image.width)


def read_settings(path: str | Path) -> str | None:
    """The settings (JSON) that a picture was painted with, None if it does not say; only its header is read.

    Raises:
        ImageError: the file is missing, unreadable or not a picture.
    """
    return settings_in(_xmp(Path(path)))


def read_key(path: str | Path) -> str | None:
    """The key that `write_image` kept in a picture, None if there is none; only its header is read. Errors as above."""
    return settings_in(_xmp(Path(path)), "key")


def read_origin(path: str | Path) -> Origin | None:
    """From what a picture was painted, None if it does not say; only its header is read. Errors as above."""
    return Origin.from_json(settings_in(_xmp(Path(path)), "origin"))


def _xmp(path: Path) -> bytes | None:
    with open_picture(path, MAX_BYTES) as (file, kind), vips_errors(path):
        if kind == "HEIC":
            return None  # never written by us
        check_structure(str(path), file, kind, path.stat().st_size)
        packet: bytes | None = _field(_load(file, kind), "xmp-data")
        return packet


# Reading: what is this file, and may it be decoded?


def _load(file: BinaryIO, kind: str) -> Any:
    """The header, decoded; the pixels follow when they are asked for, in strips.

    From the open file: libvips remembers pictures by name and would not notice that a file has changed.
    """
    source = pyvips.Source.new_from_descriptor(file.fileno())
    load = getattr(pyvips.Image, f"{FORMATS[kind].codec}load_source")
    return load(source, access="sequential", fail_on="error")


def _check_extent(name: str, height: int, width: int, max_pixels: int = MAX_PIXELS) -> None:
    if height * width > max_pixels:
        raise ImageError(
            f"{name} has {width} × {height} pixels, {height * width / 1e6:,.0f} million; "
            f"at most {max_pixels / 1e6:,.0f} million are read: make it smaller first"
        )
    if max(height, width) > LONGEST_SIDE:
        raise ImageError(
            f"{name} has {width} × {height} pixels; at most {LONGEST_SIDE} are read on the longer side: cut it"
        )
    if min(height, width) < MINIMUM_SIDE:
        raise ImageError(
            f"{name} has {width} × {height} pixels; at least {MINIMUM_SIDE} are needed on the shorter side: "
            "give a larger picture"
        )


def _check_memory(name: str, needed: float, allowed: _Allowed) -> None:
    if needed <= min(FREELY, allowed.bytes):
        return
    budget = min(allowed.bytes, memory_budget(allowed.memory, torch.device("cpu")))
    if needed > budget:
        raise ImageError(
            f"{name} needs about {needed / 1e9:.2f} GB to be read, and {budget / 1e9:.2f} GB may be used: "
            "raise memory, lower size, close other programs, or make the picture smaller first"
        )


def reading_bytes(image: Any, kind: str, size: int | None) -> float:
    """What reading a picture takes at most, in bytes: an estimate, from above, of what was measured.

    Args:
        image: its header, as libvips has it.
        kind: of the file.
        size: longer side of the result; None for the picture's own.
    """
    pixels, sample = image.height * image.width, 2 if image.format == "ushort" else 1
    held = image.bands * sample  # bytes per pixel
    alpha = image.bands in (2, 4) and image.interpretation != "cmyk"
    height, width = (image.height, image.width) if size is None else fit(image.height, image.width, size)
    # colours count as much as they are opaque, in floats
    streamed = min(_ROWS * image.width, pixels) * (4 * image.bands if alpha and size is not None else held)
    decoded = pixels * _WHOLE.get(kind, (2.0 if kind == "JPEG" else 1.0) * held if _field(image, "interlaced") else 0)
    turned = held if (_field(image, "orientation") or 1) > 1 else 0
    return float(streamed + decoded + height * width * (held + turned + (32 if alpha else 12)))


def _said(picture: Picture, xmp: bytes | None) -> Picture:
    """A picture with what an XMP packet says of it."""
    origin = Origin.from_json(settings_in(xmp, "origin"))
    return replace(picture, settings=settings_in(xmp), catalogue=catalogue_in(xmp), origin=origin)


def _field(image: Any, name: str) -> Any:
    return image.get(name) if image.get_typeof(name) else None


# Reading: from any pixels to an upright sRGB tensor


def _picture(name: str, image: Any, size: int | None) -> Picture:
    """The one way from libvips' pixels, wherever they come from, to a `Picture`."""
    if image.format not in ("uchar", "ushort"):
        raise ImageError(f"{name} has samples of type {image.format}; save it with 8 or 16 bits per sample")
    orientation = _field(image, "orientation") or 1
    full_width, full_height = (image.height, image.width) if orientation >= 5 else (image.width, image.height)
    density = _density(image)
    if size is not None:
        image = _vips_resize(image, *fit(image.height, image.width, size))
    image = _to_srgb(name, image)
    if orientation > 1:
        image = image.copy_memory().autorot()  # a picture that streams in cannot be turned
    color, alpha = _to_tensors(image.numpy().reshape(image.height, image.width, image.bands))
    return Picture(color, alpha, full_height, full_width, density=density)


def _density(image: Any) -> float | None:
    """Dots per inch: libvips knows those of JPEG, PNG and TIFF, and says one per millimetre where it knows none."""
    known = sane_density(image.xres * 25.4) if abs(image.xres - 1) > 1e-6 else None
    return known or density_in(_field(image, "exif-data"))


def _vips_resize(image: Any, height: int, width: int) -> Any:
    """Lanczos when shrinking, cubic when enlarging; colours count as much as they are opaque."""
    across, down = width / image.width, height / image.height
    if not image.hasalpha():
        return image.resize(across, vscale=down)
    return image.premultiply().resize(across, vscale=down).unpremultiply().rint().cast(image.format)


def _to_srgb(name: str, image: Any) -> Any:
    """Grey or RGB, with or without alpha; converted by the embedded profile, in the mode that the profile describes.

    Without a usable profile, grey and RGB count as sRGB, and CMYK as libvips' profile of a common press.
    """
    cmyk = image.interpretation == "cmyk"
    if cmyk or image.get_typeof("icc-profile-data"):
        image = image.icc_transform(
            "srgb",
            embedded=True,
            input_profile="cmyk" if cmyk else "srgb",
            intent="relative",
            black_point_compensation=True,
            depth=16 if image.format == "ushort" else 8,
        )
    if image.bands > 4 or image.interpretation not in ("srgb", "rgb", "rgb16", "b-w", "grey16"):
        raise ImageError(
            f"{name} has {image.bands} channels of kind {image.interpretation}; save it as grey, RGB or CMYK"
        )
    return image


def _to_tensors(pixels: NDArray[Any]) -> tuple[Tensor, Tensor | None]:
    """Image (1, 3, H, W) and alpha (1, 1, H, W) or None, from (H, W, 1 to 4) whole numbers: grey or RGB, then alpha."""
    peak = np.iinfo(pixels.dtype).max
    channels = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    count = 3 if channels.shape[1] >= 3 else 1
    color = channels[:, :count].expand(-1, 3, -1, -1).to(torch.float32, memory_format=torch.contiguous_format)
    color.div_(peak)
    if channels.shape[1] == count:
        return color, None
    return _fill_hidden(color, channels[:, count:].to(torch.float32).div_(peak))


def _fill_hidden(color: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor | None]:
    """Where nothing shows, the mean of what shows: files hold black there, which would be painted along the border."""
    if bool((alpha == 1).all()):
        return color, None
    mean = (color * alpha).sum((2, 3), keepdim=True) / alpha.sum().clamp(min=1e-6)
    mean = mean.clamp(max=1)  # against rounding
    return torch.where(alpha > 0, color, mean), alpha


# From objects in memory

_MODES = {"L": "b-w", "LA": "b-w", "RGB": "srgb", "RGBA": "srgb", "CMYK": "cmyk"}  # of Pillow, and libvips' word


def _from_pillow(name: str, source: PillowImage.Image, size: int | None, max_pixels: int) -> Picture:
    _check_extent(name, source.height, source.width, max_pixels)
    if isinstance(block := source.info.get("exif"), bytes):
        check_exif(name, block)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of EXIF that is damaged
            exif = source.getexif()
        pixels, interpretation = _pillow_pixels(name, source)
    except ImpastoError:
        raise
    except Exception as error:  # an image that Pillow has not decoded yet: its codecs raise a dozen kinds
        raise damaged(name, error) from None
    image = vips_image(pixels, _pillow_density(source)).copy(interpretation=interpretation)
    if profile := source.info.get("icc_profile"):
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    if (orientation := exif.get(ExifTags.Base.Orientation)) in range(2, 9):
        image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    xmp = source.info.get("xmp") or source.info.get("XML:com.adobe.xmp", "").encode()  # the latter in a PNG
    metadata = clean_exif(exif, keep_location=True)
    picture = _picture(name, image, size)
    return _said(replace(picture, metadata=metadata), xmp)


def _pillow_density(source: PillowImage.Image) -> float | None:
    try:
        return sane_density(float(source.info["dpi"][0]))
    except (LookupError, TypeError, ValueError, ArithmeticError):  # none, or nonsense of a file
        return None


def _pillow_pixels(name: str, source: PillowImage.Image) -> tuple[NDArray[Any], str]:
    """The pixels (H, W, channels), and libvips' word for what they mean."""
    if source.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it
        values = np.asarray(source)
        if values.min() < 0 or values.max() > 65535:
            raise SettingsError(f"{name} of mode {source.mode} has values outside 0 to 65535; scale them")
        return values.astype(np.uint16)[..., None], "grey16"
    if source.mode in ("F", "LAB"):
        raise SettingsError(f"{name} has mode {source.mode}; convert it to RGB, or give a numpy array in [0, 1]")
    mode = {"1": "L", "L": "L", "LA": "L", "La": "L", "CMYK": "CMYK"}.get(source.mode, "RGB")
    if source.has_transparency_data and mode != "CMYK":
        mode += "A"
    pixels = np.asarray(source.convert(mode))
    return pixels.reshape(source.height, source.width, -1), _MODES[mode]


def _read_heic(name: str, file: BinaryIO, size: int | None, allowed: _Allowed) -> Picture:
    """HEIC's codec is patented, so no wheel of libvips has it; pillow-heif does."""
    try:
        pillow_heif = importlib.import_module("pillow_heif")
    except ImportError:
        raise ImageError(f"{name} is a HEIC picture: pip install pillow-heif, or save it as JPEG") from None
    try:
        source = pillow_heif.HeifImageFile(file)
    except (OSError, SyntaxError, ValueError, RuntimeError) as error:
        raise damaged(name, error) from None
    height, width = (source.height, source.width) if size is None else fit(source.height, source.width, size)
    _check_memory(name, source.height * source.width * _WHOLE["HEIC"] + height * width * 12, allowed)
    return _from_pillow(name, source, size, allowed.pixels)


def _from_array(source: NDArray[Any], size: int | None) -> Picture:
    if source.ndim not in (2, 3) or (source.ndim == 3 and source.shape[2] not in (1, 3, 4)):
        raise SettingsError(
            f"an array of shape {source.shape} is not a picture; give (height, width), (height, width, 3) "
            "or (height, width, 4)"
        )
    height, width = source.shape[:2]
    _check_extent("the array", height, width)
    pixels = np.ascontiguousarray(source).reshape(height, width, -1)
    if source.dtype in (np.uint8, np.uint16):
        image = vips_image(pixels)
        if pixels.shape[2] == 1:
            image = image.copy(interpretation="b-w" if source.dtype == np.uint8 else "grey16")
        return _picture("the array", image, size)
    if not np.issubdtype(source.dtype, np.floating):
        raise SettingsError(f"an array of {source.dtype} is not a picture; give uint8, uint16 or floats in [0, 1]")
    channels = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]
    channels = _checked("the array", channels).contiguous()
    color = channels[:, :3].expand(-1, 3, -1, -1).contiguous()
    alpha = None
    if channels.shape[1] == 4:
        color, alpha = _fill_hidden(color, channels[:, 3:])
    return _resized(Picture(color, alpha, height, width), size)


def _from_tensor(source: Tensor) -> Picture:
    shape = tuple(source.shape)
    if shape[:-2] not in ((3,), (1, 3)):
        raise SettingsError(
            f"a tensor of shape {shape} is not a picture; give (3, height, width) or (1, 3, height, width)"
        )
    if not source.is_floating_point():
        raise SettingsError(f"a tensor of {source.dtype} is not a picture; give floats in [0, 1], as in `tensor / 255`")
    height, width = shape[-2:]
    _check_extent("the tensor", height, width)
    image = _checked("the tensor", source.detach().to(torch.float32).reshape(1, 3, height, width))
    return Picture(image, None, height, width)


def _checked(name: str, values: Tensor) -> Tensor:
    """The values, clamped to [0, 1]; refused if they are NaN or further out than rounding explains."""
    low, high = (float(bound) for bound in values.aminmax())
    if not (low >= -_OUT_OF_RANGE and high <= 1 + _OUT_OF_RANGE):  # NaN compares false
        hint = "; divide by 255" if 1 < high <= 255 and low >= 0 else ""
        raise SettingsError(f"{name} has values from {low:g} to {high:g}; a picture has floats in [0, 1]{hint}")
    return values.clamp(0, 1)


def _resized(picture: Picture, size: int | None) -> Picture:
    if size is None:
        return picture
    height, width = fit(picture.image.shape[-2], picture.image.shape[-1], size)
    if picture.alpha is None:
        return replace(picture, image=resize(picture.image, height, width))
    alpha = resize(picture.alpha, height, width)
    color = resize(picture.image * picture.alpha, height, width) / alpha.clamp(min=1e-6)
    color, opacity = _fill_hidden(color.clamp(0, 1), alpha)
    return replace(picture, image=color, alpha=opacity)
