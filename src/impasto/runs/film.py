"""From a film to a painted film: frames are streamed, sound and subtitles are copied."""

from __future__ import annotations

import contextlib
import importlib
import secrets
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from impasto.errors import ImageError, ImpastoError
from impasto.images.writing import flush_to_disk
from impasto.settings import Settings

if TYPE_CHECKING:
    from impasto.painting import Painter

CONTAINERS = {".mp4": "libx264", ".mov": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9"}
"""Extensions of films that are written, and their codecs unless another is given."""
MOST_PIXELS = 40_000_000  # of a frame; one of 8K has 33 million. A decoder holds some twenty
HDR = {16: "PQ", 18: "HLG"}  # transfer characteristics of ITU-T H.273
BT709, LIMITED = 1, 1  # matrix and range of what is written


class Clip:
    """A film that is read: its frames in order, upright; packets of its other streams as they pass."""

    def __init__(self, path: Path) -> None:
        self.path = path
        av = pyav()
        if not path.is_file():
            raise ImageError(f"{path} is not there; give the path of a film")
        try:
            self.container: Any = av.open(str(path))
        except (av.FFmpegError, ValueError) as error:
            raise ImageError(f"{path} cannot be read as a film: {error}") from None
        if not self.container.streams.video:
            self.container.close()
            raise ImageError(f"{path} has no video stream; give a film")
        self.video = self.container.streams.video[0]
        self.video.thread_type = "AUTO"
        width, height = self.video.codec_context.width, self.video.codec_context.height
        if width * height > MOST_PIXELS:
            self.container.close()
            raise ImageError(
                f"{path} has frames of {width} × {height} pixels; at most {MOST_PIXELS / 1e6:.0f} million are read: "
                "make it smaller first"
            )
        self.video.codec_context.options = {"max_pixels": str(MOST_PIXELS)}  # frames may say another size than the file
        transfer = getattr(self.video.codec_context, "color_trc", None)
        if transfer in HDR:
            self.container.close()
            raise ImageError(f"{path} is in HDR ({HDR[transfer]}); convert it to SDR (BT.709) first")
        self.copied = [s for s in self.container.streams if s.type in ("audio", "subtitle")]

    def close(self) -> None:
        self.container.close()

    def events(self) -> Iterator[tuple[str, Any]]:
        """("frame", frame) and ("packet", packet) in the order of the file; ends where the file is damaged."""
        av = pyav()
        with contextlib.suppress(av.FFmpegError):
            for packet in self.container.demux([self.video, *self.copied]):
                if packet.stream.index != self.video.index:
                    if packet.dts is not None:
                        yield "packet", packet
                    continue
                for frame in packet.decode():
                    yield "frame", frame


def pyav() -> Any:
    """The module `av`.

    Raises:
        ImpastoError: it is not installed.
    """
    try:
        return importlib.import_module("av")
    except ImportError:
        raise ImpastoError("a film needs PyAV: pip install 'impasto[video]'") from None


def film_file(
    clip: Path,
    style: Sequence[str],
    output: Path,
    settings: Settings,
    painter: Painter,
    *,
    boil: float = 20.0,
    keyframes: int = 1,
    codec: str | None = None,
    crf: int = 18,
    every: Any = lambda number, frames: True,
) -> int:
    """Paint a film into a file; what prevents the end keeps the film so far.

    Args:
        clip: the film.
        style: files, folders, or names of paintings that ship.
        output: .mp4, .mov, .mkv or .webm.
        settings: how.
        painter: paints.
        boil, keyframes: as of `Painter.film`.
        codec: of FFmpeg, as libx265; None for that of the container.
        crf: quality of the codec, less is better and larger.
        every: called after each frame with its number and how many the file says it has (0: it does not); stops the
            film by returning False.

    Returns:
        How many frames were painted.

    Raises:
        ImpastoError: something the user can mend.
    """
    if output.suffix.lower() not in CONTAINERS:
        raise ImageError(f"cannot write {output}: choose {', '.join(CONTAINERS)}")
    if not output.resolve().parent.is_dir():
        raise ImageError(f"cannot write {output}: its folder does not exist; create it or choose another")
    if output.exists() and clip.exists() and output.samefile(clip):
        raise ImpastoError(f"--output {output} would overwrite the film that is read; give another name")
    from impasto.images.gallery import find_style

    paintings = [find_style(text) for text in style]
    av = pyav()
    source = Clip(clip)
    part = output.with_name(f".impasto-{secrets.token_hex(6)}{output.suffix}")
    failure: Exception | None = None
    done = 0
    try:
        with contextlib.closing(source), av.open(str(part), "w") as target:
            writer = _Writer(source, target, codec or CONTAINERS[output.suffix.lower()], crf)
            painted = painter.film(writer.frames(), paintings, settings, boil=boil, keyframes=keyframes)
            try:
                for image in painted:
                    writer.write(image)
                    done += 1
                    if not every(done, source.video.frames):
                        break
            except av.FFmpegError as error:
                failure = _in_words(clip, output, error)
            except Exception as error:  # out of memory, a frame of another size
                failure = error
            if done:
                writer.end()
        if failure and not done:
            raise failure
        if not done:
            raise ImageError(f"{clip} has no frame that can be read; give a film")
        flush_to_disk(part)
        part.replace(output)
        flush_to_disk(output.parent)
    except av.FFmpegError as error:
        raise _in_words(clip, output, error) from error
    finally:
        part.unlink(missing_ok=True)
    if failure:
        failure.add_note(f"the film up to frame {done} is kept in {output}")
        raise failure
    return done


def _in_words(clip: Path, output: Path, error: Exception) -> ImageError:
    """What FFmpeg refused: times that make no sense, a full disk."""
    return ImageError(f"{clip} cannot be written as {output}: {getattr(error, 'strerror', None) or error}")


class _Writer:
    """Encodes what is painted at the times of the frames it was painted from."""

    def __init__(self, source: Clip, target: Any, codec: str, crf: int) -> None:
        self.source, self.target = source, target
        av = pyav()
        rate = source.video.average_rate or source.video.guessed_rate or Fraction(25)
        try:
            self.stream = target.add_stream(codec, rate=rate, options={"crf": str(crf)})
        except (av.FFmpegError, ValueError):
            raise ImpastoError(f"--codec {codec} cannot write {target.name}; leave it out") from None
        self.stream.pix_fmt = "yuv420p"
        self.stream.codec_context.time_base = source.video.time_base
        self.copies = {}
        for stream in source.copied:
            with contextlib.suppress(av.FFmpegError, ValueError):  # the container has no such streams
                self.copies[stream.index] = target.add_stream_from_template(stream)
        self.held: list[Any] = []  # packets that come before the first frame is painted
        self.times: list[int] = []
        self.begun = False

    def frames(self) -> Iterator[Any]:
        """Frames as arrays (height, width, 3); what is not video is copied as it passes."""
        for kind, found in self.source.events():
            if kind == "packet":
                self.held.append(found)
                continue
            self.times.append(found.pts if found.pts is not None else (self.times[-1] + 1 if self.times else 0))
            pixels = found.to_ndarray(format="rgb24")
            yield np.ascontiguousarray(np.rot90(pixels, (found.rotation or 0) // 90))

    def write(self, image: Any) -> None:
        av = pyav()
        pixels = (image[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        height, width = pixels.shape[:2]
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), "edge")  # codecs want even sides
        if not self.begun:
            self.stream.height, self.stream.width = pixels.shape[:2]
            self.stream.codec_context.colorspace, self.stream.codec_context.color_range = BT709, LIMITED
            self.begun = True
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = rgb.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        frame.pts, frame.time_base = self.times.pop(0), self.source.video.time_base
        self.target.mux(self.stream.encode(frame))
        self._copy()

    def end(self) -> None:
        self.target.mux(self.stream.encode())
        self._copy()

    def _copy(self) -> None:
        for packet in self.held:
            if packet.stream.index in self.copies:
                packet.stream = self.copies[packet.stream.index]
                self.target.mux(packet)
        self.held = []
