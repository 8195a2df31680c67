"""From a film to a painted film: frames are streamed, kept as they are done, and gone on with after any stop."""

from __future__ import annotations

import contextlib
import itertools
import json
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.errors import CheckpointError, ImageError, ImpastoError, SettingsError
from impasto.images.gallery import find_style, style_pictures
from impasto.images.reading import Picture, to_image
from impasto.images.writing import flush_to_disk
from impasto.methods.film import Frame, Memory, shots
from impasto.methods.progress import Position
from impasto.network.weights import sha256
from impasto.runs.checkpoint import Checkpoint
from impasto.runs.clip import Clip, Part, Source, open_source, pyav
from impasto.runs.reel import CONTAINERS, SEGMENT, Coding, Reel, check_output, remove
from impasto.runs.stored import decoded
from impasto.settings import Settings

if TYPE_CHECKING:
    from impasto.painting import Painter

__all__ = ["CONTAINERS", "Clip", "Part", "film_file", "open_source", "pyav"]

WHOLE = Part()
EVERY = 30.0  # seconds between two states that are kept, at least


def film_file(
    clip: Path,
    style: Sequence[str],
    output: Path,
    settings: Settings,
    painter: Painter,
    *,
    boil: float = 20.0,
    keyframes: int = 1,
    loop: bool = False,
    protect: str | None = None,
    part: Part = WHOLE,
    rate: Fraction | None = None,
    codec: str | None = None,
    crf: int = 18,
    keep: bool = False,
    keep_every: float = EVERY,
    every: Callable[[int, int], bool] = lambda number, frames: True,
    show: Callable[[Tensor], None] = lambda image: None,
    note: Callable[[str], None] = lambda words: None,
) -> int:
    """Paint a film into a file; what prevents the end keeps the film so far.

    Args:
        clip: the film, an animated picture, or a folder of numbered frames.
        style: files, folders, or names of paintings that ship.
        output: of `impasto.runs.reel.CONTAINERS`, or a folder of frames to be.
        settings: how.
        painter: paints.
        boil, keyframes, loop, protect: as of `Painter.film`.
        part: what of it is painted.
        rate: frames a second of a folder.
        codec: of FFmpeg, as libx265; None for that of the container.
        crf: quality of the codec, less is better and larger.
        keep: go on where an earlier call with the same arguments was stopped, and keep beside the output, in a folder
            OUTPUT.impasto, what is needed for that.
        keep_every: seconds between two states that are kept.
        every: called after each frame with its number and how many there are (0: nobody knows); stops the film by
            returning False.
        show: called with each frame that is painted.
        note: called with what the user should know.

    Returns:
        How many frames the film has.

    Raises:
        ImpastoError: something the user can mend.
    """
    check_output(output, codec, crf)
    if loop and settings.cluster != "none":
        raise SettingsError("loop leads the last shot to the first one, which no cluster can; leave out cluster")
    if output.exists() and clip.exists() and output.samefile(clip):
        raise ImpastoError(f"--output {output} would overwrite the film that is read; give another name")
    paintings = [find_style(text) for text in style]
    how: dict[str, Any] = {"boil": boil, "keyframes": keyframes, "loop": loop, "protect": protect}
    with contextlib.closing(open_source(clip, rate)) as source:
        coding = Coding(output, codec, crf, source.alpha, source.time_base, source.rate / part.every)
        folder = output.with_name(f"{output.name}.impasto")
        if not keep:
            folder = output.with_name(f".impasto-{secrets.token_hex(6)}")
        job = _job(clip, paintings, settings, {**how, "part": str(part), "codec": codec, "crf": crf, "rate": str(rate)})
        if source.alpha and not coding.keeps_alpha:
            note(f"{output.suffix} keeps no transparency here; .webm, .mov, .webp, .gif or a folder of frames would")
        with _kept(folder, job, keep_every) as checkpoint:
            reel = Reel(folder, coding)
            run = _Run(painter, paintings, settings, how, source, part, rate, reel, checkpoint, job, keep)
            try:
                ended = run.paint(every, show, note)
            except BaseException as error:
                if isinstance(error, Exception) and run.done:
                    run.write(output)
                    error.add_note(f"the film up to frame {run.done} is kept in {output}")
                if not keep:
                    run.forget()
                raise
            if not run.done:
                run.forget()
                raise ImageError(f"{clip} has no frame that can be read; give a film")
            run.write(output)
            for words in source.notes:
                note(words)
            if ended or not keep:
                run.forget()
            else:
                note(f"the same command goes on from frame {run.saved + 1}")
            return run.done


@dataclass
class _Run:
    """A film that is being painted."""

    painter: Painter
    paintings: Sequence[Path]
    settings: Settings
    how: dict[str, Any]  # further arguments of `Painter.film`
    source: Source
    part: Part
    rate: Fraction | None
    reel: Reel
    checkpoint: Checkpoint
    job: dict[str, Any]
    keep: bool

    def __post_init__(self) -> None:
        self.done = self.saved = self.checkpoint.position.step if self.checkpoint.position else 0
        self.alphas: deque[Tensor | None] = deque()  # of frames that were taken and are not painted yet

    def paint(
        self,
        every: Callable[[int, int], bool],
        show: Callable[[Tensor], None],
        note: Callable[[str], None],
    ) -> bool:
        """Paint what is not painted yet; whether that was all."""
        memory = None
        if position := self.checkpoint.position:
            memory = Memory.of(position.state, position.memory)
            self.checkpoint.saved = None
            if missing := self.reel.missing(self.done):
                raise CheckpointError(f"{missing} is not there any more; remove {self.reel.folder}, and begin anew")
            note(f"goes on from frame {self.done + 1}")
        count, kept = self.part.count(self.source), memory is not None
        for frame in self._steps(memory):
            memory = None
            self.reel.put(self.done, _pixels(frame.image, self.alphas.popleft() if self.alphas else None))
            self.done += 1
            kept = kept or frame.kept > 0
            show(frame.image)
            if frame.memory and (self.checkpoint.due or self.done - self.saved >= SEGMENT):
                self._save(frame.memory)
            if not every(self.done, count):
                if frame.memory and self.saved != self.done:
                    self._save(frame.memory)
                return False
        if self.keep and (protect := self.how["protect"]) and not kept:
            note(f"{protect}: not found in any frame, all of them are painted alike")
        return True

    def _steps(self, memory: Memory | None) -> Iterator[Frame]:
        """What the painter paints; where nobody goes on, it need not know more than `film`."""
        if self.settings.cluster != "none":
            for frame in self._on_cluster(memory):
                if not self.keep:
                    self.reel.settle(self.done)
                yield frame if self.keep else replace(frame, memory=None)
            return
        if self.keep:
            yield from self.painter.film_steps(self._frames(), self.paintings, self.settings, **self.how, resume=memory)
            return
        for image in self.painter.film(self._frames(), self.paintings, self.settings, **self.how):
            self.reel.settle(self.done)
            yield Frame(image, None)

    def _on_cluster(self, memory: Memory | None) -> Iterator[Frame]:
        """Frames that machines paint, a shot each; after the last one of each shot it can be gone on."""
        from impasto.runs.cluster import Shots, paint_shots

        frames = self._frames()
        opening = next(frames, None)
        if opening is None:
            return
        protect = self.how["protect"]
        work = Shots(
            self.source.path.absolute(),
            self.rate,
            self.part,
            tuple(path.absolute() for path in self.paintings),
            replace(self.settings, cluster="none"),
            self.how["boil"],
            self.how["keyframes"],
            str(Path(protect).absolute()) if protect and Path(protect).is_file() else protect,
            opening.image if memory is None else memory.opening,
        )
        counts = shots(itertools.chain([opening], frames), self.settings)
        yield from paint_shots(work, self.done, counts, self.settings.cluster, self.painter.models.source)

    def _frames(self) -> Iterator[Picture]:
        """The frames that are not painted yet."""
        for number, still in enumerate(self.part.of(self.source.stills())):
            self.reel.times.append(still.at - self.part.start)
            if number >= self.done:
                picture = self._read(still.picture, number)
                self.alphas.append(picture.alpha if self.reel.coding.keeps_alpha else None)
                yield picture

    def _read(self, picture: Any, number: int) -> Picture:
        try:
            return to_image(picture, self.settings.longer_side)
        except ImageError as error:  # which does not know where the frame is from
            raise ImageError(f"frame {number + 1} of {self.source.path}: {error}") from error

    def _save(self, memory: Memory) -> None:
        """Keep where it stands, and then encode what will not change any more."""
        self.checkpoint.save(Position(1, self.done, memory.budget, memory.tensors), self.job)
        self.saved = self.done
        self.reel.settle(self.done)

    def write(self, output: Path) -> None:
        """The film so far, at once or not at all."""
        if self.reel.coding.container is None:
            return
        part = output.with_name(f".impasto-{secrets.token_hex(6)}{output.suffix}")
        try:
            try:
                self.source.notes.extend(self.reel.assemble(part, self.done, self.source, self.part))
            except pyav().FFmpegError as error:  # times that make no sense, a full disk
                raise ImageError(
                    f"{self.source.path} cannot be written as {output}: {error.strerror or error}"
                ) from error
            flush_to_disk(part)
            part.replace(output)
            flush_to_disk(output.parent)
        finally:
            part.unlink(missing_ok=True)

    def forget(self) -> None:
        """Remove what it needed to go on."""
        self.checkpoint.remove()
        remove(self.reel.folder)


def checked_memory(position: Position) -> Position:
    """A position of a film, if it can be one.

    Raises:
        TypeError, ValueError: it cannot; says which part.
    """
    tensors: dict[str, Tensor] = decoded(dict[str, Tensor], position.state, "state")
    channels = {"age": 1, "area": 1, "there": 2, "back": 2}
    names = {f.name for f in fields(Memory)} - {"budget"}
    if tensors.keys() != names:
        raise ValueError(f"state holds {', '.join(sorted(tensors.keys() ^ names)):.100}, or does not")
    height, width = tensors["photograph"].shape[-2:]
    for name, tensor in tensors.items():
        if tensor.shape != (1, channels.get(name, 3), height, width) or tensor.dtype != torch.float32:
            raise ValueError(f"state.{name} is of {tuple(tensor.shape)}")
    return position


@contextlib.contextmanager
def _kept(folder: Path, job: dict[str, Any], every: float) -> Iterator[Checkpoint]:
    """The states of a film in its folder.

    Raises:
        CheckpointError: they are of another film, or in use.
    """
    with Checkpoint(folder, every=every, check=checked_memory) as checkpoint:
        if checkpoint.saved and checkpoint.saved.job != job:
            raise CheckpointError(
                f"{folder} holds a film that was begun with other settings, or from other files; give these again, "
                "another --output, or remove the folder"
            )
        yield checkpoint


def _job(clip: Path, paintings: Sequence[Path], settings: Settings, how: dict[str, Any]) -> dict[str, Any]:
    """All that decides what the film looks like, as JSON gives it back."""
    pictures = [picture for painting in paintings for picture in style_pictures(painting)]
    found = clip.stat() if clip.exists() else None
    job = {
        "protect": sha256(Path(how["protect"])) if how["protect"] and Path(how["protect"]).is_file() else None,
        # not its hash: films are large, and they are read again frame by frame
        "clip": [str(clip.absolute()), found and found.st_size, found and found.st_mtime_ns],
        "paintings": [sha256(picture) for picture in pictures],
        "settings": {**asdict(settings), "cluster": "none"},  # the film is the same wherever it is painted
        "how": how,
    }
    return dict(json.loads(json.dumps(job)))


def _pixels(image: Tensor, alpha: Tensor | None) -> NDArray[np.uint8]:
    """(height, width, 3 or 4) of 8 bits."""
    channels = [image[0].cpu()] if alpha is None else [image[0].cpu(), alpha[0].cpu()]
    found = [(x.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy() for x in channels]
    return np.concatenate(found, axis=-1)
