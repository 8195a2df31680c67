"""A time-lapse of a painting: a film of its steps, as MP4 and its like (extra `video`), or as GIF or WebP."""

from __future__ import annotations

import io
import itertools
import secrets
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from impasto.errors import ImageError, ImpastoError
from impasto.images.reading import fit, resize
from impasto.images.writing import check_folder, to_pil
from impasto.runs.clip import pyav
from impasto.runs.reel import BT709, FILMS, LIMITED

ANIMATIONS = {".gif": "GIF", ".webp": "WEBP"}
MOST = 240  # frames: of more steps every second is left out, again and again
SIDE, ANIMATED_SIDE = 1080, 480  # px of the longer side, of films and of pictures that move, which are held whole
RATE = 20  # frames a second
HELD = 2.0  # seconds that the last one stays


class Timelapse:
    """The steps of a painting, small and compressed, until they are written.

    Args:
        path: .mp4, .mov, .mkv, .webm, .gif or .webp.
        height, width: of the picture.

    Raises:
        ImpastoError: it could not be written; found out before any work.
    """

    def __init__(self, path: Path, height: int, width: int) -> None:
        check_timelapse(path)
        self.path = path
        side = ANIMATED_SIDE if path.suffix.lower() in ANIMATIONS else SIDE
        rows, columns = fit(height, width, min(side, max(height, width)))
        self.height, self.width = max(2, rows - rows % 2), max(2, columns - columns % 2)  # films want even sides
        self.frames: list[bytes] = []
        self.every, self.seen = 1, 0
        self.last: Tensor | None = None

    def add(self, image: Tensor) -> None:
        """A step: (1, 3, height, width) in [0, 1], of any size."""
        self.last = image
        if self.seen % self.every == 0:
            buffer = io.BytesIO()
            to_pil(self._small(image)).save(buffer, "JPEG", quality=92, subsampling=0)
            self.frames.append(buffer.getvalue())
        self.seen += 1
        if len(self.frames) > MOST:
            self.frames, self.every = self.frames[::2], 2 * self.every

    def write(self) -> None:
        """Write the film; its last frame is the last step, and stays for a while.

        Raises:
            ImpastoError: it cannot be written; what was there before is untouched.
        """
        part = self.path.with_name(f".impasto-{secrets.token_hex(6)}{self.path.suffix}")
        try:
            if self.path.suffix.lower() in ANIMATIONS:
                self._animate(part)
            else:
                self._film(part)
            part.replace(self.path)
        except Exception as error:  # of Pillow and FFmpeg, of a dozen kinds; the painting is not lost by it
            raise ImageError(f"cannot write {self.path}: {getattr(error, 'strerror', None) or error}") from None
        finally:
            part.unlink(missing_ok=True)

    def pictures(self) -> Iterator[Image.Image]:
        """The frames, of one size."""
        for frame in self.frames:
            yield Image.open(io.BytesIO(frame))
        if self.last is not None:
            yield to_pil(self._small(self.last))

    def _animate(self, path: Path) -> None:
        pictures = list(self.pictures())
        times = [1000 // RATE] * (len(pictures) - 1) + [round(1000 * HELD)]
        form = ANIMATIONS[path.suffix.lower()]
        first, *others = pictures
        first.save(path, form, save_all=True, append_images=others, duration=times, loop=0, quality=85)

    def _film(self, path: Path) -> None:
        av = pyav()
        with av.open(str(path), "w") as target:
            stream: Any = target.add_stream(FILMS[path.suffix.lower()].codec, rate=RATE, options={"crf": "18"})
            stream.pix_fmt, stream.height, stream.width = "yuv420p", self.height, self.width
            stream.codec_context.colorspace, stream.codec_context.color_range = BT709, LIMITED
            last = [to_pil(self._small(self.last))] * round(HELD * RATE) if self.last is not None else []
            for number, picture in enumerate(itertools.chain(self.pictures(), last)):
                frame = av.VideoFrame.from_ndarray(np.asarray(picture.convert("RGB")), format="rgb24")
                frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
                frame.pts, frame.time_base = number, Fraction(1, RATE)
                target.mux(stream.encode(frame))
            target.mux(stream.encode())

    def _small(self, image: Tensor) -> Tensor:
        return resize(image, self.height, self.width)


def check_timelapse(path: Path) -> None:
    """Find out before the work that a time-lapse can be written.

    Raises:
        ImpastoError: its extension is unknown, its folder is not there, or a package is missing.
    """
    extension = path.suffix.lower()
    if extension not in (*FILMS, *ANIMATIONS):
        raise ImageError(f"cannot write {path}: a time-lapse is one of {', '.join((*FILMS, *ANIMATIONS))}")
    check_folder(path)
    if extension in FILMS:
        try:
            pyav()
        except ImpastoError as error:
            raise ImpastoError(f"{error}; or give a time-lapse as .gif or .webp, which need nothing more") from None
