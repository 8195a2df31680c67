"""Which picture formats are read and written, and what a file is by its content: its name is never trusted."""

from __future__ import annotations

import difflib
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pyvips

from impasto.errors import ImageError


@dataclass(frozen=True)
class Format:
    """A picture format, as libvips reads and writes it."""

    name: str
    codec: str  # libvips' word: jpeg → jpegload_source, jpegsave_target
    extensions: tuple[str, ...]
    longest_side: int  # that can be written, in pixels
    bits: tuple[int, ...] = (8,)  # per sample, that can be written
    alpha: bool = True
    lossy: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)  # for libvips, when writing

    @property
    def media_type(self) -> str:
        return f"image/{self.name.lower()}"


# AVIF at libvips' default effort 4 takes ten times as long as at 2 (22 s for 4.3 megapixels on two cores, quality 95)
# for files a third smaller.
FORMATS = {
    format.name: format
    for format in (
        Format("PNG", "png", (".png",), 2**31 - 1, bits=(8, 16), lossy=False),
        Format("JPEG", "jpeg", (".jpg", ".jpeg"), 65_500, alpha=False),
        Format(
            "TIFF",
            "tiff",
            (".tif", ".tiff"),
            2**31 - 1,
            bits=(8, 16),
            lossy=False,
            options={"compression": "deflate", "predictor": "horizontal"},
        ),
        Format("WebP", "webp", (".webp",), 16_383),
        Format("AVIF", "heif", (".avif",), 16_384, options={"compression": "av1", "effort": 2}),
    )
}
EXTENSIONS = {extension: format for format in FORMATS.values() for extension in format.extensions}
READABLE = f"{', '.join(FORMATS)} or HEIC"


def _decoded(text: Any) -> str:
    return "" if text == pyvips.ffi.NULL else pyvips.ffi.string(text).decode(errors="replace")


# pyvips takes libvips' messages for UTF-8, and a PNG's profile may be called "Écran" in Latin-1: the message about it
# would be a traceback on stderr, or a UnicodeDecodeError in place of a pyvips.Error.
for _module in (pyvips, pyvips.error):
    vars(_module)["_to_string"] = _decoded

_HEAD_BYTES = 512  # of a file are enough for `sniff`
_PICTURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",
    b"MM\x00+": "TIFF",
}
_OTHERS = {
    b"%PDF": "a PDF document",
    b"%!PS": "a PostScript document",
    b"PK\x03\x04": "a ZIP archive (or an Office document)",
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x1aE\xdf\xa3": "a WebM or Matroska video",
    b"GIF8": "a GIF picture",
    b"BM": "a BMP picture",
    b"8BPS": "a Photoshop document",
    b"gimp xcf": "a GIMP document",
    b"\xff\x0a": "a JPEG XL picture",
    b"\x00\x00\x00\x0cJXL ": "a JPEG XL picture",
    b"\x00\x00\x00\x0cjP  ": "a JPEG 2000 picture",
    b"FUJIFILMCCD-RAW": "a Fujifilm raw photograph",
    b"IIRO": "an Olympus raw photograph",
    b"IIU\x00": "a Panasonic raw photograph",
    b"\x00\x00\x01\xba": "an MPEG video",
    b"\x00\x00\x01\xb3": "an MPEG video",
    b"FLV\x01": "a Flash video",
    b"OggS": "an Ogg sound or video",
    b"ID3": "an MP3 sound",
    b"\x7fELF": "a program",
    b"MZ": "a program",
}
_BRANDS = {  # of the ISO base media files, after "ftyp"
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"heim": "HEIC",
    b"heis": "HEIC",
    b"hevc": "HEIC",
    b"hevx": "HEIC",
    b"crx ": "a Canon raw photograph",
}


def sniff(head: bytes) -> str:
    """What the file that starts with `head` is: a name in `FORMATS`, "HEIC", or words for what else it looks like."""
    if head[8:10] == b"CR" and head[:4] == b"II*\x00":
        return "a Canon raw photograph"
    for known in (_PICTURES, _OTHERS):
        for magic, name in known.items():
            if head.startswith(magic):
                return name
    if head[:4] == b"RIFF":
        return {b"WEBP": "WebP", b"AVI ": "an AVI video", b"WAVE": "a WAV sound"}.get(head[8:12], "a RIFF file")
    if head[4:8] == b"ftyp":
        return _iso_media(head)
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free"):
        return "an MP4 or QuickTime video"
    return _text(head)


def _iso_media(head: bytes) -> str:
    """AVIF, HEIC and MP4 share a container; its major brand tells them apart, "mif1" only its compatible brands."""
    length = min(int.from_bytes(head[:4]), len(head))
    brands = [head[8:12], *(head[i : i + 4] for i in range(16, length, 4))]
    if brands[0] in (b"mif1", b"msf1"):
        return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), "a HEIF picture of an unknown kind")
    return _BRANDS.get(brands[0], "an MP4 or QuickTime video")


def _text(head: bytes) -> str:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page"
    if b"<svg" in start:
        return "an SVG drawing"
    if start.startswith((b"<?xml", b"<")):
        return "an XML or HTML document"
    text = head.decode("utf-8", errors="ignore")  # a character cut at the end of `head` is not an error
    if text and len(text.encode()) > len(head) - 4 and all(c.isprintable() or c.isspace() for c in text):
        return "a text"
    return "a file of an unknown kind"


def format_for_writing(path: Path) -> Format:
    """The format that a file name asks for, by its extension.

    Raises:
        ImageError: no extension, or one that is not in `EXTENSIONS`.
    """
    found = EXTENSIONS.get(path.suffix.lower())
    if found is None:
        given = f"the extension {path.suffix!r} is unknown" if path.suffix else "the name has no extension"
        raise ImageError(f"cannot write {path}: {given}; choose from: {', '.join(EXTENSIONS)}")
    return found


@contextmanager
def open_picture(path: Path, max_bytes: int) -> Iterator[tuple[BinaryIO, str]]:
    """The open file and its format by content: a name in `FORMATS`, or "HEIC".

    Raises:
        ImageError: the file is missing, unreadable, empty, too large or not a picture.
    """
    with _open(path) as file:
        yield file, kind_of(str(path), file, path.stat().st_size, max_bytes)


def kind_of(name: str, file: BinaryIO, size: int, max_bytes: int) -> str:
    """The format of an open file of `size` bytes, by content; it stands at its beginning afterwards.

    Raises:
        ImageError: it is empty, too large or not a picture.
    """
    if size == 0:
        raise ImageError(f"{name} is empty; copy or download it again")
    if size > max_bytes:
        raise ImageError(f"{name} has {size:,} bytes; at most {max_bytes:,} are read: make it smaller")
    file.seek(0)
    kind = sniff(file.read(_HEAD_BYTES))
    if kind not in FORMATS and kind != "HEIC":
        raise ImageError(f"{name} is {kind}, not a picture that can be read; give a {READABLE} file")
    file.seek(0)
    return kind


def _open(path: Path) -> BinaryIO:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(f"{path} is a folder; give a picture in it")
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise ImageError(f"{path} is not a file; save the picture to a file first")
        return path.open("rb", buffering=0)  # libvips reads from the same descriptor
    except (FileNotFoundError, NotADirectoryError):
        raise ImageError(f"{path} does not exist{_suggestion(path)}") from None
    except PermissionError:
        raise ImageError(f"{path} may not be read by you; change its permissions") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{path} cannot be opened: {getattr(error, 'strerror', None) or error}") from None


def _suggestion(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; there is no folder {path.parent}"
    try:
        names = [neighbour.name for neighbour in path.parent.iterdir()]
    except OSError:
        names = []
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.parent / close[0]}?" if close else "; check its name and folder"


@contextmanager
def vips_errors(path: object, *, writing: bool = False) -> Iterator[None]:
    """Say what libvips found wrong with a file in our words, as an ImageError."""
    try:
        yield
    except pyvips.Error as error:
        reason = error.detail.strip().splitlines()[-1:] or ["its header is incomplete"]
        if writing:
            raise ImageError(f"cannot write {path}: {reason[0].strip()}; is the disk full?") from None
        raise damaged(path, reason[0]) from None


def damaged(name: object, reason: object) -> ImageError:
    """The error for a picture that its codec gave up on, in one line."""
    words = " ".join(str(reason).split())
    return ImageError(f"{name} is damaged or cut short ({words}); copy or download it again, or save it anew")
