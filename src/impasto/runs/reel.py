"""Where a painted film grows: frames that are done lie beside the output until it is whole, so that nothing is lost.

A folder holds the last frames as PNG files, those before them encoded already, in segments of so many frames, and what
the next ones rest on (`impasto.runs.checkpoint`). Every segment is encoded by itself from what was kept, whether the
film was killed in between or not, so that the film has the same bytes. It takes as much room as the film, and a
segment of PNG files; only what cannot be cut (animated pictures, transparent VP9) keeps all of them.
"""

from __future__ import annotations

import contextlib
import heapq
import io
import itertools
import shutil
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from impasto.errors import ImageError, ImpastoError
from impasto.runs.clip import Clip, Part, Source, pyav

SEGMENT = 48  # frames
BT709, LIMITED = 1, 1  # matrix and range of what is written
ANIMATED = ("gif", "libwebp_anim")  # codecs of animated pictures
PACKET = struct.Struct("<qqq?q")  # before the bytes of a packet: its times, whether it is a key frame, its size
SIZE = struct.Struct("<qq")  # before the packets of a segment: height and width
EXACT = {"fflags": "+bitexact"}  # no random numbers in the file


@dataclass(frozen=True)
class Container:
    """A kind of file.

    Attributes:
        codec: of FFmpeg, unless another is given.
        alpha_codec: where the film is transparent; None where it cannot be.
        format: FFmpeg's name for it.
        cut: whether it can be joined of segments.
        options: of FFmpeg, for the file.
        time_base: of its times in seconds, where it has its own.
    """

    codec: str
    alpha_codec: str | None
    format: str
    cut: bool
    options: dict[str, str]
    time_base: Fraction | None = None


START_FIRST = {"movflags": "+faststart"}  # pages play it before all of it is there
MILLISECONDS, HUNDREDTHS = Fraction(1, 1000), Fraction(1, 100)
CONTAINERS = {
    ".mp4": Container("libx264", None, "mp4", True, START_FIRST),
    ".mov": Container("libx264", "prores_ks", "mov", True, START_FIRST),
    ".mkv": Container("libx264", "libvpx-vp9", "matroska", True, {}, MILLISECONDS),
    ".webm": Container("libvpx-vp9", "libvpx-vp9", "webm", True, {}, MILLISECONDS),
    ".gif": Container("gif", "gif", "gif", False, {"loop": "0"}, HUNDREDTHS),
    ".webp": Container("libwebp_anim", "libwebp_anim", "webp", False, {"loop": "0"}, MILLISECONDS),
}
"""Extensions of films that are written; anything without an extension is a folder of numbered frames."""
FILMS = {extension: container for extension, container in CONTAINERS.items() if container.cut}
"""Of films that are no animated pictures."""


@dataclass(frozen=True)
class Coding:
    """How frames become a file.

    Attributes:
        output: the file, or folder, to be.
        codec: of FFmpeg; None for that of the container.
        crf: its quality; less is better.
        alpha: whether frames are transparent.
        time_base: of the film that is painted.
        rate: of its frames, on average.
    """

    output: Path
    codec: str | None
    crf: int
    alpha: bool
    time_base: Fraction
    rate: Fraction

    @property
    def container(self) -> Container | None:
        """None is a folder of frames."""
        return CONTAINERS.get(self.output.suffix.lower())

    @property
    def codec_name(self) -> str:
        container = self.container
        assert container is not None
        return self.codec or (self.alpha and container.alpha_codec) or container.codec

    @property
    def keeps_alpha(self) -> bool:
        return self.alpha and (
            self.container is None or (self.codec is None and self.container.alpha_codec is not None)
        )

    @property
    def cut(self) -> bool:
        """Whether the film can be joined of segments; transparency of VP9 lies beside its packets."""
        return self.container is not None and self.container.cut and not (self.keeps_alpha and "vp9" in self.codec_name)

    def ticks(self, at: Fraction) -> int:
        """A time as a multiple of the file's time base."""
        return round(at / self.base)

    @property
    def base(self) -> Fraction:
        """Of its times in seconds."""
        return (self.container.time_base if self.container else None) or self.time_base


def check_output(output: Path, codec: str | None, crf: int) -> None:
    """Find out before the work starts that a film can be written.

    Raises:
        ImpastoError: it cannot.
    """
    container = CONTAINERS.get(output.suffix.lower())
    if container is None and (output.suffix or output.is_file()):
        raise ImageError(
            f"cannot write {output}: choose {', '.join(CONTAINERS)}, or a folder of frames, without extension"
        )
    if container is not None and output.is_dir():
        raise ImageError(f"cannot write {output}: it is a folder; give the name of a file")
    if not output.resolve().parent.is_dir():
        raise ImageError(f"cannot write {output}: its folder does not exist; create it or choose another")
    if not 0 <= crf <= 63:
        raise ImpastoError(f"--crf {crf} is out of range: choose a whole number from 0 to 63")
    if codec is not None and (container is None or codec not in pyav().codecs_available):
        raise ImpastoError(f"--codec {codec} is not there to write {output}; leave it out, or try libx264 or libx265")


class Reel:
    """The frames of a film that are painted.

    Args:
        folder: where they are kept; it is there.
        coding: what becomes of them.
    """

    def __init__(self, folder: Path, coding: Coding) -> None:
        self.folder, self.coding = folder, coding
        self.times: list[Fraction] = []  # of all frames that were read, from where the painted film begins

    def put(self, number: int, pixels: NDArray[np.uint8]) -> None:
        """Keep a frame (height, width, 3 or 4) of a number from 0."""
        target = self._frame(number)
        part = target.with_suffix(".part")
        try:
            target.parent.mkdir(exist_ok=True)
            PillowImage.fromarray(pixels).save(part, "png", compress_level=1)
            part.replace(target)
        except OSError as error:
            raise ImageError(f"cannot keep a frame in {self.folder}: {error.strerror or error}") from error

    def missing(self, count: int) -> Path | None:
        """The first file that is not there of those that the first `count` frames are kept in."""
        number = 0
        while number < count:
            piece = self._piece(number)
            if self.coding.cut and number % SEGMENT == 0 and number + SEGMENT <= count and piece.exists():
                number += SEGMENT
            elif self._frame(number).exists():
                number += 1
            else:
                return self._frame(number)
        return None

    def settle(self, count: int) -> None:
        """Encode whole segments of the first `count` frames, which are painted for good."""
        if not self.coding.cut:
            return
        for first in range(0, count - SEGMENT + 1, SEGMENT):
            numbers = range(first, first + SEGMENT)
            piece = self._piece(first)
            if not piece.exists():
                self._encode(piece, numbers)
            for number in numbers:
                self._frame(number).unlink(missing_ok=True)

    def assemble(self, part: Path, count: int, source: Source, chosen: Part) -> list[str]:
        """Write the first `count` frames as a film, with the source's sound and subtitles where it can hold them.

        Returns:
            What it could not hold, in words.
        """
        if self.coding.container is None:
            return []  # the frames are the film
        copied = source.copied if isinstance(source, Clip) else []
        try:
            kept = self._assemble(part, count, source, chosen)
        except pyav().FFmpegError:  # what it cannot hold may show only when its end is written
            if not copied:
                raise
            kept = self._assemble(part, count, None, chosen)
        lost = sorted({f"{s.type} ({s.codec_context.name})" for s in copied if s.index not in kept})
        return [f"{self.coding.output.suffix} cannot hold the film's {', '.join(lost)}; .mkv would"] if lost else []

    def _assemble(self, part: Path, count: int, source: Source | None, chosen: Part) -> set[int]:
        """Write the film; returns which streams of the source were copied."""
        assert self.coding.container is not None
        pieces = self._pieces(count)
        size = _size(pieces[0]) if pieces else self._read(0).shape[:2]
        copies: dict[int, Any] = {}
        with contextlib.ExitStack() as stack:
            options = {**EXACT, **self.coding.container.options}
            target = stack.enter_context(pyav().open(str(part), "w", options=options))
            video = _stream(target, size, self.coding)
            packets = itertools.chain.from_iterable(map(_packets, pieces))
            streams = [self._timed(packets if pieces else self._encoded(video, range(count)), video)]
            if isinstance(source, Clip) and source.copied:
                again = stack.enter_context(contextlib.closing(Clip(source.path)))
                copies = _copies(again, target)
                end = chosen.start + self.times[count - 1] + chosen.every / self.coding.rate
                streams.append(_copied(again, copies, chosen.start, end))
            # by their times: FFmpeg holds what comes too early in memory
            for _, _, packet in heapq.merge(*streams, key=lambda found: found[:2]):
                target.mux(packet)
        return set(copies)

    def _pieces(self, count: int) -> list[Path]:
        """The segments of the first `count` frames; the last one may be short. None where the film cannot be cut."""
        if not self.coding.cut:
            return []
        self.settle(count)
        pieces = [self._piece(first) for first in range(0, count - SEGMENT + 1, SEGMENT)]
        if short := count % SEGMENT:
            pieces.append(self.folder / "rest")
            self._encode(pieces[-1], range(count - short, count))
        return pieces

    def _timed(self, packets: Iterable[Any], video: Any) -> Iterator[tuple[float, int, Any]]:
        last: int | None = None
        for packet in packets:
            # an encoder begins before its first frame: where rates vary, into the segment before
            last = packet.dts if last is None else max(last + 1, packet.dts)
            packet.dts = min(last, packet.pts)
            packet.time_base, packet.stream = self.coding.base, video
            yield float(last * self.coding.base), 0, packet

    def _frame(self, number: int) -> Path:
        folder = self.coding.output if self.coding.container is None else self.folder
        return folder / f"{number + 1:06d}.png"

    def _piece(self, first: int) -> Path:
        return self.folder / f"{first + 1:06d}-{first + SEGMENT:06d}"

    def _read(self, number: int) -> NDArray[np.uint8]:
        with PillowImage.open(self._frame(number)) as image:
            pixels = np.asarray(image)
        if self.coding.codec_name in ANIMATED:
            return pixels
        height, width = pixels.shape[:2]  # codecs of films want even sides
        return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), "edge")

    def _encoded(self, stream: Any, numbers: Sequence[int]) -> Iterator[Any]:
        """Packets of some frames.

        Raises:
            ImpastoError: the codec cannot encode them.
        """
        av = pyav()
        coding, palette, last = self.coding, _Palette(), -1
        try:
            for number in numbers:
                frame = _coded(av, coding.codec_name, self._read(number), stream.pix_fmt, palette)
                last = max(last + 1, coding.ticks(self.times[number]))
                frame.pts, frame.time_base = last, coding.base
                yield from stream.encode(frame)
            yield from stream.encode()
        except (av.FFmpegError, ValueError) as error:
            raise ImpastoError(
                f"--codec {coding.codec_name} cannot write {coding.output} ({error}); leave it out"
            ) from None

    def _encode(self, path: Path, numbers: Sequence[int]) -> None:
        """Write a segment: its packets, by an encoder of its own."""
        assert self.coding.container is not None
        part = path.with_name(f"{path.name}.part")
        with pyav().open(io.BytesIO(), "w", format=self.coding.container.format) as nowhere, part.open("wb") as file:
            size = self._read(numbers[0]).shape[:2]
            file.write(SIZE.pack(*size))
            stream = _stream(nowhere, size, self.coding)
            for packet in self._encoded(stream, numbers):
                content = bytes(packet)
                file.write(PACKET.pack(packet.pts, packet.dts, packet.duration or 0, packet.is_keyframe, len(content)))
                file.write(content)
        part.replace(path)


def _size(path: Path) -> tuple[int, ...]:
    """Height and width of a segment."""
    with path.open("rb") as file:
        return SIZE.unpack(file.read(SIZE.size))


def _packets(path: Path) -> Iterator[Any]:
    """Those of a segment."""
    av = pyav()
    with path.open("rb") as file:
        file.seek(SIZE.size)
        while head := file.read(PACKET.size):
            pts, dts, duration, key, size = PACKET.unpack(head)
            packet = av.Packet(file.read(size))
            packet.pts, packet.dts, packet.duration, packet.is_keyframe = pts, dts, duration, key
            yield packet


def _stream(target: Any, size: tuple[int, ...], coding: Coding) -> Any:
    """An encoder in a file, of frames of some height and width."""
    av = pyav()
    name = coding.codec_name
    options = {"crf": str(coding.crf)}
    if name == "libx264":
        options["mbtree"] = "0"  # x264's AVX-512 reads memory there that nobody wrote: other bytes now and then
    if name == "libvpx-vp9":
        options |= {"b:v": "0", "auto-alt-ref": "0"} if coding.keeps_alpha else {"b:v": "0"}
    if name == "libx265":
        options["x265-params"] = "log-level=error"  # it tells its life on standard error
    if name == "libwebp_anim":
        options = {"quality": str(100 - coding.crf)}
    try:
        stream = target.add_stream(name, rate=coding.rate.limit_denominator(100_000), options=options)
    except (av.FFmpegError, ValueError):
        raise ImpastoError(f"--codec {name} cannot write {coding.output}; leave it out") from None
    stream.height, stream.width = size
    with_alpha = {"libvpx-vp9": "yuva420p", "prores_ks": "yuva444p10le"}
    always = {"gif": "pal8", "libwebp_anim": "bgra", "prores_ks": "yuv422p10le", "ffv1": "yuv444p"}
    stream.pix_fmt = (with_alpha.get(name) if coding.keeps_alpha else None) or always.get(name, "yuv420p")
    context = stream.codec_context
    context.time_base = coding.base
    context.thread_count = 1  # the same bytes on every machine
    if name not in ANIMATED:
        context.colorspace, context.color_range = BT709, LIMITED
    return stream


def _coded(av: Any, name: str, pixels: NDArray[np.uint8], form: str, palette: _Palette) -> Any:
    """FFmpeg's frame of pixels."""
    if name == "gif":
        return av.VideoFrame.from_ndarray(palette.indices(pixels), format="pal8")
    channels = "rgba" if pixels.shape[2] == 4 else "rgb24"
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=channels)
    if form == "bgra":
        return frame.reformat(format=form)
    return frame.reformat(format=form, dst_colorspace="ITU709", dst_color_range="MPEG")


class _Palette:
    """Colours of a GIF: those of its first frame as long as they do, so that nothing flickers."""

    def __init__(self) -> None:
        self.image: Any = None
        self.error = 0.0

    def indices(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Indices (height, width), and the palette (256, 4) as A, R, G, B; 255 is transparent."""
        picture = PillowImage.fromarray(np.ascontiguousarray(pixels[..., :3]))
        if self.image is None or self._error(picture) > 1.5 * self.error + 2:
            self.image = picture.quantize(255, PillowImage.Quantize.MEDIANCUT, dither=PillowImage.Dither.NONE)
            self.error = self._error(picture)
        found = picture.quantize(palette=self.image, dither=PillowImage.Dither.FLOYDSTEINBERG)
        indices = np.asarray(found).copy()
        colors = np.zeros((256, 4), np.uint8)
        rgb = np.asarray(self.image.getpalette("RGB"), np.uint8).reshape(-1, 3)[:255]
        colors[: len(rgb), 1:], colors[:255, 0] = rgb, 255
        if pixels.shape[2] == 4:
            indices[pixels[..., 3] < 128] = 255
        return indices, colors

    def _error(self, picture: Any) -> float:
        nearest = picture.quantize(palette=self.image, dither=PillowImage.Dither.NONE).convert("RGB")
        return float(np.abs(np.asarray(nearest, np.int16) - np.asarray(picture, np.int16)).mean())


def _copies(source: Clip, target: Any) -> dict[int, Any]:
    """Streams of sound and subtitles in a file that is written, by their numbers in the source."""
    av = pyav()
    copies: dict[int, Any] = {}
    for stream in source.copied:
        with contextlib.suppress(av.FFmpegError, ValueError):  # it has no such streams
            copies[stream.index] = target.add_stream_from_template(stream)
    return copies


def _copied(source: Clip, copies: dict[int, Any], start: Fraction, end: Fraction) -> Iterator[tuple[float, int, Any]]:
    """Their packets from start to end."""
    if not copies:
        return
    with contextlib.suppress(pyav().FFmpegError):  # a damaged end, which was told when the frames were read
        for packet in source.container.demux([s for s in source.copied if s.index in copies]):
            if packet.dts is None or packet.pts is None:
                continue
            at = packet.pts * packet.time_base - source.begins
            if at >= end or (at < start and start > 0):
                continue
            shift = round((start + source.begins) / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = copies[packet.stream.index]
            yield float(at - start), 1, packet


def remove(folder: Path) -> None:
    """Forget a film that was begun."""
    shutil.rmtree(folder, ignore_errors=True)
