"""Films that are read, frame by frame: files of films, animated pictures, folders of numbered frames."""

from __future__ import annotations

import contextlib
import importlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from impasto.errors import ImageError, ImpastoError
from impasto.images.reading import read_image
from impasto.runs.hdr import NAMES, to_sdr

MOST_PIXELS = 40_000_000  # of a frame; one of 8K has 33 million. A decoder holds some twenty
MOST_ANIMATED = 25_000_000  # of one of an animated picture, whose decoder holds several in four bytes a pixel
UNSAID, HD = 2, 720  # a matrix of colours that is not said, and rows from which on it is that of BT.709, as players do
RATE = Fraction(25)  # frames a second where nothing says it
LISTS = (b"#EXTM3U", b"ffconcat")  # how files begin that name others,
TEXT = bytes([9, 10, 12, 13, *range(32, 127), *range(128, 256)])  # and of what the rest of them consists
ANIMATED = (b"GIF8", b"RIFF", b"\x89PNG")  # how files begin that Pillow reads
NUMBERED = re.compile(r"(\d+)\.(png|jpe?g|tiff?|webp|avif|heic)$", re.IGNORECASE)


@dataclass(frozen=True)
class Still:
    """A frame as it was filmed.

    Attributes:
        picture: whatever `impasto.images.reading.to_image` takes; with its transparency, upright.
        at: when it is shown, in seconds.
    """

    picture: Any
    at: Fraction


class Source(Protocol):
    """Something that holds frames in order.

    Attributes:
        path: where it lies.
        count: how many frames it says it has; 0 if it does not.
        rate: frames a second, on average.
        time_base: seconds; times are whole multiples.
        alpha: whether frames may be transparent.
        notes: what was wrong, once it has been read.
    """

    path: Path
    count: int
    rate: Fraction
    time_base: Fraction
    alpha: bool
    notes: list[str]

    def stills(self) -> Iterator[Still]:
        """The frames, as far as they can be read."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Part:
    """What of a film is painted.

    Attributes:
        start, end: in seconds; None is where it ends.
        every: of so many frames the first.
    """

    start: Fraction = Fraction(0)
    end: Fraction | None = None
    every: int = 1

    def __post_init__(self) -> None:
        if self.start < 0 or (self.end is not None and self.end <= self.start):
            raise ImpastoError(
                f"nothing lies between start {self.start} and end {self.end}; give seconds, the end later"
            )
        if self.every < 1:
            raise ImpastoError(f"every={self.every} is out of range: choose a whole number of 1 or more")

    def of(self, stills: Iterator[Still]) -> Iterator[Still]:
        """Those of some frames."""
        number = 0
        for still in stills:
            if still.at < self.start:
                continue
            if self.end is not None and still.at >= self.end:
                return
            if number % self.every == 0:
                yield still
            number += 1

    def count(self, source: Source) -> int:
        """About how many frames that are, 0 if it is not known."""
        if not source.count:
            return 0
        first = min(source.count, round(self.start * source.rate))
        last = source.count if self.end is None else min(source.count, round(self.end * source.rate))
        return -(-max(0, last - first) // self.every)


def seconds(text: str) -> Fraction:
    """A time as people write it: 12.5, 1:30, 1:02:03.5.

    Raises:
        ImpastoError: it is none.
    """
    if not re.fullmatch(r"(\d{1,6}:){0,2}\d{1,9}(\.\d{1,9})?", text):
        raise ImpastoError(f"{text[:40]!r} is not a time; write seconds, or minutes:seconds, as 12.5 or 1:30")
    total = Fraction(0)
    for part in text.split(":"):
        total = total * 60 + Fraction(part)
    return total


def open_source(path: Path, rate: Fraction | None = None) -> Source:
    """A film, an animated picture or a folder of frames, by what it is.

    Args:
        path: of it.
        rate: frames a second of a folder.

    Raises:
        ImageError: it is none of them, or cannot be read.
    """
    if path.is_dir():
        return Folder(path, rate or RATE)
    if rate is not None:
        raise ImpastoError(f"--rate is for folders of frames; {path} has times of its own: leave it out")
    head = _head(path)[:12] if path.is_file() else b""  # opening a pipe would wait for ever
    if head.startswith(ANIMATED) and (head[:4] != b"RIFF" or head[8:] == b"WEBP"):
        animation = _animation(path)
        if animation is not None:
            return animation
    return Clip(path)


def _animation(path: Path) -> Animation | None:
    """An animated picture; None where Pillow does not read it, but FFmpeg may.

    Raises:
        ImageError: its frames are too large.
    """
    try:
        found = Animation(path)
    except (OSError, ValueError):
        return None
    width, height = found.image.size
    if width * height > MOST_ANIMATED:
        found.close()
        raise _too_large(path, width, height, MOST_ANIMATED)
    return found


def _head(path: Path) -> bytes:
    """The first bytes of a file; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(512)
    except (OSError, ValueError):
        return b""


class Clip:
    """A film that FFmpeg reads; see `Source`.

    Attributes:
        copied: its streams of sound and subtitles.

    Raises:
        ImageError: it is not there, no film, or has no video.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        av = pyav()
        if not path.is_file():
            raise ImageError(f"{path} is {'no file' if path.exists() else 'not there'}; give the path of a film")
        head = _head(path)
        if head.startswith(LISTS) or (head and not head.translate(None, TEXT) and not head.startswith(b"YUV4MPEG2")):
            raise ImageError(f"{path} is a text, as lists of other files are; give a film")  # FFmpeg would read those
        try:
            self.container: Any = av.open(str(path))
        except (av.FFmpegError, ValueError) as error:
            raise ImageError(f"{path} cannot be read as a film: {error}") from None
        if not self.container.streams.video:
            self.container.close()
            raise ImageError(f"{path} has no video stream; give a film")
        self.video = self.container.streams.video[0]
        if self.video.codec_context is None:
            self.container.close()
            raise ImageError(f"{path} is of a codec that FFmpeg does not know; convert it to H.264 first")
        self.video.thread_type = "AUTO"
        width, height = self.video.codec_context.width, self.video.codec_context.height
        if width * height > MOST_PIXELS:
            self.container.close()
            raise _too_large(path, width, height, MOST_PIXELS)
        self.video.codec_context.options = {"max_pixels": str(MOST_PIXELS)}  # frames may say another size than the file
        if (hdr := NAMES.get(getattr(self.video.codec_context, "color_trc", 0))) is not None:
            self.notes.append(f"{path} is in HDR ({hdr}): its light is mapped to an ordinary screen's")
        self.copied = [s for s in self.container.streams if s.type in ("audio", "subtitle")]
        self.count = int(self.video.frames or 0)
        self.rate = Fraction(self.video.average_rate or self.video.guessed_rate or RATE)
        self.time_base = Fraction(self.video.time_base)
        self.begins = Fraction(self.container.start_time or 0, 1_000_000)  # where its times begin, in seconds
        self.decoder = self.video.codec_context
        if self.video.metadata.get("alpha_mode") == "1":  # FFmpeg's own decoder of VP9 does not see it
            self.decoder = av.CodecContext.create("libvpx-vp9", "r")
            self.decoder.options = self.video.codec_context.options
        pixels = self.video.codec_context.format
        self.alpha = self.decoder is not self.video.codec_context or (
            pixels is not None and any(component.is_alpha for component in pixels.components)
        )
        length = self._length()
        if not self.count and length:
            self.count = round(length * self.rate)

    def close(self) -> None:
        self.container.close()

    def stills(self) -> Iterator[Still]:
        last: Fraction | None = None
        for frame in self.frames():
            if frame.pts is not None:
                last = frame.pts * self.time_base - self.begins
            else:
                last = Fraction(0) if last is None else last + 1 / self.rate
            turned = np.rot90(_pixels(frame, self.alpha), (getattr(frame, "rotation", 0) or 0) // 90)
            yield Still(np.ascontiguousarray(turned), last)
        length = self._length()
        if last is not None and length and last + 2 / self.rate + Fraction(1, 10) < length:
            self.notes.append(
                f"{self.path} ends after {float(last + 1 / self.rate):.1f} s of {float(length):.1f} s: cut short, "
                "or damaged there"
            )

    def frames(self) -> Iterator[Any]:
        """FFmpeg's frames; what is damaged is left out."""
        av = pyav()
        damaged = 0
        packets = self.container.demux(self.video)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except av.FFmpegError as error:
                self.notes.append(f"{self.path} is damaged at its end ({error.strerror})")
                break
            try:
                found = self.decoder.decode(packet)
            except av.FFmpegError:
                damaged += 1
                continue
            for frame in found:
                if frame.is_corrupt:
                    damaged += 1
                else:
                    yield frame
        if damaged:
            self.notes.append(f"{self.path}: {damaged} frame{'s are' if damaged > 1 else ' is'} damaged, and left out")

    def _length(self) -> Fraction:
        """Of the video, in seconds, as far as the file tells; 0 if it does not."""
        if self.video.duration:
            return Fraction(self.video.duration) * self.time_base
        with contextlib.suppress(ImpastoError):
            return seconds(self.video.metadata.get("DURATION", "")[:18])  # Matroska
        return Fraction(0)


class Animation:
    """An animated GIF, WebP or PNG, which Pillow reads; see `Source`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self.time_base = Fraction(1, 1000)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of Pillow's own limit, which is another one
                self.image: Any = PillowImage.open(path)
            self.count = int(getattr(self.image, "n_frames", 1))
        except Exception as error:  # its codecs raise a dozen kinds
            raise ImageError(f"{path} cannot be read as a film: {error}") from None
        self.alpha = self.image.format == "GIF" or bool(self.image.has_transparency_data)
        self.rate = 1 / Fraction(max(20, round(self._lasts())), 1000)

    def close(self) -> None:
        self.image.close()

    def stills(self) -> Iterator[Still]:
        at = Fraction(0)
        for number in range(self.count):
            try:
                self.image.seek(number)
                picture = self.image.convert("RGBA" if self.alpha else "RGB")
            except Exception as error:
                self.notes.append(f"{self.path} is damaged from frame {number + 1} on ({error})")
                return
            yield Still(picture, at)
            at += Fraction(max(20, round(self._lasts())), 1000)  # less is shown as slowly by browsers

    def _lasts(self) -> float:
        """Of the frame that was read, in milliseconds."""
        return float(self.image.info.get("duration") or 100)


class Folder:
    """Pictures whose names end in their number; see `Source`."""

    def __init__(self, path: Path, rate: Fraction) -> None:
        self.path, self.rate = path, rate
        self.notes: list[str] = []
        found = [(int(match[1]), name) for name in path.iterdir() if (match := NUMBERED.search(name.name))]
        if not found:
            raise ImageError(f"{path} holds no numbered pictures; name the frames as 0001.png, 0002.png")
        self.files = [name for _, name in sorted(found)]
        self.count = len(self.files)
        self.time_base = 1 / rate
        self.alpha = read_image(self.files[0], max_pixels=MOST_PIXELS).alpha is not None

    def close(self) -> None:
        pass

    def stills(self) -> Iterator[Still]:
        for number, file in enumerate(self.files):
            try:
                picture = read_image(file, max_pixels=MOST_PIXELS)
            except ImageError as error:
                self.notes.append(f"left out: {error}")
                continue
            yield Still(picture, number / self.rate)


def _pixels(frame: Any, alpha: bool) -> NDArray[np.uint8]:
    """(height, width, 3 or 4) of FFmpeg's frame."""
    matrix = {"src_colorspace": "ITU709"} if frame.colorspace == UNSAID and frame.height >= HD else {}
    if frame.color_trc not in NAMES:
        found: NDArray[np.uint8] = frame.to_ndarray(format="rgba" if alpha else "rgb24", **matrix)
        return found
    deep = frame.to_ndarray(format="rgba64le" if alpha else "rgb48le", **matrix)
    mapped = to_sdr(deep[..., :3], frame.color_trc)
    return np.concatenate([mapped, (deep[..., 3:] >> 8).astype(np.uint8)], axis=2) if alpha else mapped


def _too_large(path: Path, width: int, height: int, most: int) -> ImageError:
    return ImageError(
        f"{path} has frames of {width} × {height} pixels; at most {most / 1e6:.0f} million are read: "
        "make it smaller first"
    )


def pyav() -> Any:
    """The module `av`.

    Raises:
        ImpastoError: it is not installed.
    """
    try:
        return importlib.import_module("av")
    except ImportError:
        raise ImpastoError("a film needs PyAV: pip install 'impasto[video]'") from None
