"""So that nothing is lost: where a job stands is kept, and a picture that cannot go where it should goes elsewhere."""

from __future__ import annotations

import contextlib
import re
import secrets
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from impasto.errors import CheckpointError, ImageError
from impasto.painting import Position, Progress
from impasto.runs.checkpoint import Checkpoint, checkpoints, clean_up, default_folder, load
from impasto.runs.job import Job, machine, same_picture

LONG = 300.0  # seconds: a run predicted to take longer is kept in the cache unasked
NOWHERE = "none"  # --checkpoint none


class Keeper:
    """A job and its checkpoint, if it has one.

    Args:
        job: what is painted.
        checkpoint: where its state is kept; None until it is worth it.

    Attributes:
        position: from where to go on; None to begin.
        evaluations: already done, by scale.
    """

    def __init__(self, job: Job, console: Console, checkpoint: Checkpoint | None) -> None:
        self.job, self.console, self.checkpoint = job, console, checkpoint
        self.asked_not_to = str(job.files.checkpoint) == NOWHERE
        self.said: set[str] = set()
        # of the job, as JSON, with the hashes of its inputs: as they are now, before they are read to be painted
        self.description: dict[str, Any] = {} if self.asked_not_to else job.to_json()
        self.position: Position | None = checkpoint.position if checkpoint else None
        self.evaluations: Counter[int] = Counter()
        if checkpoint and checkpoint.saved:
            self.evaluations = Counter(dict(enumerate(checkpoint.saved.job["evaluations"], start=1)))
            self.evaluations[checkpoint.saved.position.scale] -= 1  # the step that is yielded again
            self._say_how_it_goes_on(checkpoint)

    @classmethod
    def for_new(cls, job: Job, console: Console) -> Keeper:
        """Of a job that `impasto paint` begins, or goes on with if its folder holds the same job.

        Raises:
            CheckpointError: the folder holds another one.
        """
        folder = job.files.checkpoint
        if folder is None or str(folder) == NOWHERE:
            return cls(job, console, None)
        checkpoint = Checkpoint(folder, every=job.files.checkpoint_every)
        if checkpoint.saved and not same_picture(checkpoint.saved.job, job.to_json()):
            checkpoint.close()
            raise CheckpointError(
                f"--checkpoint {folder} holds another picture that is not done; "
                f"go on with it (impasto resume {folder}), remove it (impasto resume {folder} --forget), "
                "or choose another folder"
            )
        return cls(job, console, checkpoint)

    @classmethod
    def for_old(cls, folder: Path | None, changes: Mapping[str, Any], console: Console) -> Keeper:
        """Of a job that was stopped.

        Raises:
            CheckpointError: there is no checkpoint, or its inputs are not there any more.
        """
        found = folder or next(iter(checkpoints()), None)
        if found is None:
            raise CheckpointError(
                f"there is nothing to go on with in {default_folder()}; give the folder of a checkpoint"
            )
        load(found)  # before anything is created
        checkpoint = Checkpoint(found)
        try:
            assert checkpoint.saved is not None
            job = Job.from_json(checkpoint.saved.job, **changes)
        except BaseException:
            checkpoint.close()
            raise
        checkpoint.every = job.files.checkpoint_every
        return cls(job, console, checkpoint)

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, *_: object) -> None:
        if self.checkpoint:
            self.checkpoint.close()

    def take_position(self) -> Position | None:
        """From where to go on; not held here any longer, since it takes as much memory as the painting under way."""
        position, self.position = self.position, None
        if self.checkpoint:
            self.checkpoint.saved = None
        return position

    def watch(self, now: Progress) -> None:
        """Look at a step: save it if it is time."""
        if self.checkpoint is None and (now.seconds_left or 0) > LONG:
            self._open()
        if self.checkpoint and self.checkpoint.due:
            self.save(now)

    def save(self, now: Progress | None) -> bool:
        """Save a step; whether it could be. What prevents it is said once, and is no reason to stop painting."""
        if now is None or now.position is None:
            return False
        if self.checkpoint is None:
            self._open()
        if self.checkpoint is None:
            return False
        evaluations = [self.evaluations[scale] for scale in range(1, now.scale + 1)]
        with self.noting():
            self.checkpoint.save(now.position, {**self.description, "evaluations": evaluations, "steps": now.steps})
            return True
        return False

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """What goes wrong with an aside (a checkpoint, a preview) is said, once, and is no reason to stop painting."""
        try:
            yield
        except (CheckpointError, ImageError) as error:
            self._note(str(error))

    def done(self) -> None:
        """The picture is written: there is nothing left to go on with."""
        if self.checkpoint:
            self.checkpoint.remove()

    @property
    def how_to_go_on(self) -> str:
        """The command."""
        return f"impasto resume {self.job.files.checkpoint or ''}".rstrip()

    def _open(self) -> None:
        """A checkpoint in the cache, unless nobody wants one."""
        if self.asked_not_to:
            return
        stem = re.sub(r"[^\w.-]", "_", self.job.output.stem)[:80]
        folder = default_folder() / f"{stem}-{secrets.token_hex(4)}"
        self.asked_not_to = True  # again, if it cannot be
        with self.noting():
            self.checkpoint = Checkpoint(folder, every=self.job.files.checkpoint_every)
            clean_up()

    def _say_how_it_goes_on(self, checkpoint: Checkpoint) -> None:
        assert checkpoint.saved is not None
        saved = checkpoint.saved
        for path in saved.damaged:
            self._note(f"{path} is damaged; went back to the checkpoint before it")
        self._note(f"goes on from evaluation {saved.position.step} of {saved.job['steps']}")
        before, here = saved.job["machine"], machine(self.job.settings)
        changed = [f"{name} {here[name]}, not {before.get(name)}" for name in here if here[name] != before.get(name)]
        if changed:
            self._note(f"{'; '.join(changed)}: the picture may differ from an uninterrupted one")

    def _note(self, words: str) -> None:
        if words not in self.said:
            say(self.console, f"note: {words}")
            self.said.add(words)


def say(console: Console, words: str) -> None:
    """A line for the user, who may have closed the terminal."""
    with contextlib.suppress(OSError):
        console.print(words, markup=False, highlight=False, soft_wrap=True)


def write_somewhere(write: Callable[[Path], None], output: Path) -> None:
    """Write a picture where it should go; if that fails, as a PNG beside it, here, or among temporary files.

    Raises:
        ImageError: it is not where it should be; says where it is.
    """
    try:
        write(output)
    except ImageError as error:
        for folder in (output.parent, Path.cwd(), Path(tempfile.gettempdir())):
            beside = folder / f"{output.stem}-{secrets.token_hex(4)}.png"
            try:
                write(beside)
            except ImageError:
                continue
            raise ImageError(f"{error}; the picture is kept in {beside}") from error
        raise
