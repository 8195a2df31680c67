"""Pictures out: to a Pillow image, or to a file that is complete or not there at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyvips
import torch
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from impasto.errors import ImageError, SettingsError
from impasto.images.catalogue import Catalogue
from impasto.images.formats import EXTENSIONS, FORMATS, format_for_writing, vips_errors
from impasto.images.metadata import clean_exif, sane_density, xmp_packet

DENSITY = 72.0  # dots per inch of a picture that does not say: what libvips and most viewers take it for
_XMP_TAG = 700  # of TIFF
_STRIP = 256  # rows converted at a time when writing: a picture of 100 megapixels needs no second copy in floats


class PaintedImage(PillowImage.Image):
    """A Pillow image whose files say how it was painted: `save` keeps the settings and the density in them.

    They are in `info`, as "xmp" and "dpi"; what is passed to `save` counts more.
    """

    def __init__(self, image: PillowImage.Image, info: Mapping[Any, Any]) -> None:
        super().__init__()
        self.im, self._mode, self._size = image.im, image.mode, image.size  # as Pillow's own plugins do
        self.info = {**info}

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:
        """As of Pillow; a JPEG has quality 95 here, unless another is given."""
        packet = self.info["xmp"]
        chunks = PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", packet.decode())
        kept = {"xmp": packet, "pnginfo": chunks, "tiffinfo": {_XMP_TAG: packet}, "dpi": self.info["dpi"]}
        if "jpeg" in (str(format).lower(), *_kinds(fp)):
            kept["quality"] = 95
        super().save(fp, format, **{**kept, **params})

    def copy(self) -> PaintedImage:
        """Another one, with settings of its own kept."""
        return PaintedImage(super().copy(), self.info)


def _kinds(fp: Any) -> list[str]:
    """What a file's name says it is, in Pillow's words."""
    name = getattr(fp, "name", fp)
    form = (
        EXTENSIONS.get(Path(os.fsdecode(name)).suffix.lower()) if isinstance(name, str | bytes | os.PathLike) else None
    )
    return [form.codec] if form else []


def to_pil(
    image: Tensor, alpha: Tensor | None = None, *, settings: str | None = None, density: float | None = None
) -> PillowImage.Image:
    """The image (1, 3, H, W) as a Pillow image of 8 bits, RGB, or RGBA with `alpha` (1, 1, H, W).

    With settings (JSON) it is a `PaintedImage`, whose files hold them, and `density` in dots per inch.
    """
    picture = PillowImage.fromarray(_samples("the image", image, alpha, bits=8))
    if settings is None:
        return picture
    dots = density or DENSITY
    return PaintedImage(picture, {"xmp": xmp_packet(settings, None), "dpi": (dots, dots)})


def check_numbers(quality: int, density: float | None, *, quality_name: str = "quality") -> None:
    """That files can be written with the numbers of `write_image`.

    Raises:
        SettingsError: one is out of range.
    """
    if not 1 <= quality <= 100:
        raise SettingsError(f"{quality_name}={quality} is out of range: choose a whole number from 1 to 100")
    if density is not None and sane_density(density) is None:
        raise SettingsError(f"density={density} is out of range: choose dots per inch from 1 to 65535")


def write_image(
    path: str | Path,
    image: Tensor,
    *,
    alpha: Tensor | None = None,
    settings: str | None = None,
    key: str | None = None,
    origin: str | None = None,
    metadata: bytes | None = None,
    catalogue: Catalogue | None = None,
    keep_location: bool = False,
    bits: int = 8,
    quality: int = 95,
    density: float | None = None,
) -> None:
    """Write a picture, tagged as sRGB, in the format of the extension; the file is replaced at once or not at all.

    Args:
        path: .png, .jpg, .jpeg, .tif, .tiff, .webp or .avif.
        image: (1, 3, H, W) in [0, 1].
        alpha: (1, 1, H, W) in [0, 1]; in a JPEG, which has none, the picture is laid on white.
        settings: JSON to keep inside, for `read_settings`.
        key: a text to keep inside, for `read_key`.
        origin: JSON of an `Origin` to keep inside, for `read_origin`.
        metadata: the photograph's EXIF, from `Picture.metadata`. A TIFF keeps camera, date and copyright only.
        catalogue: the photograph's keywords, rating and so on, from `Picture.catalogue`.
        keep_location: keep where the photograph was taken.
        bits: per sample, 8, or 16 in PNG and TIFF.
        quality: of JPEG, WebP and AVIF, from 1 to 100.
        density: dots per inch; None for `DENSITY`. In WebP and AVIF it is said in the EXIF.

    Raises:
        ImageError: the file cannot be written; what was there before is untouched.
        SettingsError: `quality` or `density` is out of range, or the image has a wrong shape or holds NaN.
    """
    path = Path(path)
    check_numbers(quality, density)
    height, width = image.shape[-2:]
    check_writable(path, bits=bits, longer_side=max(height, width))
    form = format_for_writing(path)
    pixels = _samples(str(path), image, alpha, bits=bits, flatten=not form.alpha)
    exif = clean_exif(metadata, keep_location=keep_location)
    xmp = xmp_packet(settings, exif, key, origin, catalogue)
    output = _with_metadata(vips_image(pixels, density or DENSITY), exif, xmp)
    options = {**form.options, **({"Q": quality} if form.lossy else {})}
    if form.codec == "tiff":
        options["bigtiff"] = pixels.nbytes > 2**31  # offsets of 32 bits end at 4 GiB
    with replacing(path) as file, vips_errors(path, writing=True):
        target = pyvips.Target.new_to_descriptor(file.fileno())
        getattr(output, f"{form.codec}save_target")(target, profile="srgb", **options)


def write_bytes(path: Path, data: bytes) -> None:
    """Write any file; it is replaced at once or not at all.

    Raises:
        ImageError: it cannot be written; what was there before is untouched.
    """
    with replacing(path) as file:
        file.write(data)


def check_writable(path: str | Path, *, bits: int = 8, longer_side: int = 1) -> None:
    """Find out before the work starts that its result can be written.

    Args:
        path: the file to be.
        bits: per sample.
        longer_side: of the picture, in pixels; formats have limits.

    Raises:
        ImageError: the extension, folder, bit depth or size does not allow it.
    """
    path = Path(path)
    form = format_for_writing(path)
    check_folder(path)
    if bits not in form.bits:
        able = ", ".join(e for f in FORMATS.values() if bits in f.bits for e in f.extensions)
        hint = f"choose {able}" if able else "choose 8 or 16"
        raise ImageError(f"cannot write {path}: {form.name} files have no {bits} bits per sample here; {hint}")
    if longer_side > form.longest_side:
        raise ImageError(
            f"cannot write {path}: {form.name} allows {form.longest_side} pixels on the longer side, "
            f"not {longer_side}; choose .png or .tif"
        )


def check_folder(path: Path) -> None:
    """Find out before the work starts that a file can be written where it should be.

    Raises:
        ImageError: its folder is not there, it is one itself, or it may not be written.
    """
    try:
        folder = Path(os.path.realpath(path)).parent
        is_folder = path.is_dir()
    except (OSError, ValueError) as error:  # a name that is too long, or has a null character
        raise ImageError(
            f"cannot write {path}: {getattr(error, 'strerror', None) or error}; give another name"
        ) from None
    if is_folder:
        raise ImageError(f"cannot write {path}: it is a folder; give the name of a file")
    if not folder.is_dir():
        raise ImageError(f"cannot write {path}: the folder {folder} does not exist; create it or choose another")
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise ImageError(f"cannot write {path}: it is read-only; choose another place or change its permissions")


def vips_image(pixels: NDArray[Any], density: float | None = None) -> Any:
    """A libvips image that shares the memory of (H, W, channels), of some dots per inch."""
    height, width, channels = pixels.shape
    kind, word = ("uchar", "srgb") if pixels.dtype == np.uint8 else ("ushort", "rgb16")
    image = pyvips.Image.new_from_memory(np.ascontiguousarray(pixels).data, width, height, channels, kind)
    per_millimetre = 1.0 if density is None else density / 25.4
    return image.copy(interpretation=word, xres=per_millimetre, yres=per_millimetre)


def _samples(name: str, image: Tensor, alpha: Tensor | None, *, bits: int, flatten: bool = False) -> NDArray[Any]:
    """The image as whole numbers (H, W, 3), or (H, W, 4) with alpha; rounded, strip by strip."""
    height, width = image.shape[-2:]
    for part, shape in ((image, (1, 3, height, width)), (alpha, (1, 1, height, width))):
        if part is not None and tuple(part.shape) != shape:
            raise SettingsError(f"{name}: a tensor of shape {tuple(part.shape)} was given where {shape} is needed")
    peak = 2**bits - 1
    channels = 3 if alpha is None or flatten else 4
    samples = np.empty((height, width, channels), np.uint8 if bits == 8 else np.uint16)
    for top in range(0, height, _STRIP):
        rows = slice(top, top + _STRIP)
        strip = image[0, :, rows].detach().to("cpu", torch.float32)
        if alpha is not None:
            opacity = alpha[0, :, rows].detach().to("cpu", torch.float32)
            strip = strip * opacity + (1 - opacity) if flatten else torch.cat([strip, opacity])
        if not bool(strip.isfinite().all()):
            raise SettingsError(f"{name}: the image holds NaN or infinite values in rows {top} to {top + _STRIP}")
        samples[rows] = (strip.clamp(0, 1) * peak).round_().permute(1, 2, 0).numpy()
    return samples


def _with_metadata(image: Any, exif: bytes | None, xmp: bytes | None) -> Any:
    for name, block in (("exif-data", exif), ("xmp-data", xmp)):
        if block is not None:
            image.set_type(pyvips.GValue.blob_type, name, block)
    return image


def flush_to_disk(path: Path) -> None:
    """Wait until a file, or what a folder lists, is on the disk itself: a power cut must not lose it."""
    with suppress(PermissionError):  # Windows does not open folders, and needs no flush of theirs
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # where it flushes what may be written
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file beside `path` that takes its place at the end; on any failure it goes and `path` stays as it was."""
    path = Path(os.path.realpath(path))  # through a link: the link stays a link
    part = path.with_name(f".impasto-{secrets.token_hex(6)}.part")
    try:
        with part.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        flush_to_disk(path.parent)
    except ImageError:
        raise
    except OSError as error:
        raise ImageError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)
