"""When a job's checkpoint is saved: asked for, or of long runs unasked, and where a run is stopped."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from impasto.errors import CheckpointError, ImageError
from impasto.painting import Position, Progress
from impasto.runs.checkpoint import EVERY, Checkpoint, Saved, checkpoints, clean_up, default_folder, load
from impasto.runs.job import Job, machine, same_picture
from impasto.runs.reporter import Reporter
from impasto.runs.stored import decoded
from impasto.runs.walk import check_fits


@dataclass(frozen=True)
class Saving:
    """Whether, where and how often the state of a run is saved.

    Attributes:
        folder: the checkpoint; None makes one in the cache once it is worth it.
        every: seconds between two saves, at least.
        long: seconds; a run predicted to take longer is saved in the cache unasked.
        enabled: False saves nothing, also where a run is stopped.
    """

    folder: Path | None = None
    every: float = EVERY
    long: float = 300.0
    enabled: bool = True


class Kept(TypedDict):
    """What is kept beside a job, which tells how its run went."""

    evaluations: list[int]  # by scale
    steps: int
    every: float
    machine: dict[str, Any]


class Autosave:
    """A job and its checkpoint, if it has one. Made by `begin` and `resume`; the folder is held until it is closed.

    Args:
        job: what is painted.
        reporter: is told what goes wrong, once.
        saving: when.
        checkpoint: the folder, opened.

    Attributes:
        evaluations: already done, by scale.
    """

    def __init__(self, job: Job, reporter: Reporter, saving: Saving, checkpoint: Checkpoint | None = None) -> None:
        self.job, self.reporter, self.saving, self.checkpoint = job, reporter, saving, checkpoint
        self._cache_failed = False
        self._noted: set[str] = set()
        # of the job, as JSON, with the hashes of its inputs: as they are now, before they are read to be painted
        self._description: dict[str, Any] = job.to_json() if saving.enabled else {}
        self._position: Position | None = checkpoint.position if checkpoint else None
        self.evaluations: Counter[int] = Counter()
        if checkpoint and checkpoint.saved:
            kept = _kept(checkpoint.saved.job)
            check_fits(checkpoint.saved.position, job.settings)
            self.evaluations = Counter(dict(enumerate(kept["evaluations"], start=1)))
            self.evaluations[checkpoint.saved.position.scale] -= 1  # the step that is yielded again
            self._say_how_it_goes_on(checkpoint.saved, kept)

    @classmethod
    def begin(cls, job: Job, reporter: Reporter, saving: Saving) -> Autosave:
        """Of a new job, or one that goes on if its folder holds the same picture.

        Raises:
            CheckpointError: the folder holds another one, or cannot be used.
        """
        folder = saving.folder
        if folder is None or not saving.enabled:
            return cls(job, reporter, saving)
        checkpoint = Checkpoint(folder, every=saving.every)
        if checkpoint.saved and not same_picture(checkpoint.saved.job, job.to_json()):
            checkpoint.close()
            raise CheckpointError(
                f"checkpoint={folder} holds another picture that is not done; "
                f"go on with it (impasto resume {folder}), remove it (impasto resume {folder} --forget), "
                "or choose another folder"
            )
        return cls(job, reporter, saving, checkpoint)

    @classmethod
    def resume(cls, reporter: Reporter, folder: Path | None = None, *, output: Path | None = None) -> Autosave:
        """Of a job that was stopped.

        Args:
            reporter: is told from where it goes on, and what has changed.
            folder: its checkpoint; None for the newest in the cache.
            output: write the picture here instead.

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
            saved: Mapping[str, Any] = checkpoint.saved.job
            job = Job.from_json({**saved, "output": str(output)} if output else saved)
            checkpoint.every = _kept(saved)["every"]
            return cls(job, reporter, Saving(found, checkpoint.every), checkpoint)
        except BaseException:
            checkpoint.close()
            raise

    def __enter__(self) -> Autosave:
        return self

    def __exit__(self, *_: object) -> None:
        if self.checkpoint:
            self.checkpoint.close()

    def take_position(self) -> Position | None:
        """From where to go on; not held here any longer, since it takes as much memory as the painting under way."""
        position, self._position = self._position, None
        if self.checkpoint:
            self.checkpoint.saved = None
        return position

    def step(self, now: Progress) -> None:
        """Count a step, and save it if it is time."""
        self.evaluations[now.scale] += 1
        if self.checkpoint is None and (now.seconds_left or 0) > self.saving.long:
            self._open()
        if self.checkpoint and self.checkpoint.due:
            self.save(now)

    def save(self, now: Progress | None) -> Path | None:
        """Save a step, if it can be; the folder. What prevents it is said once, and is no reason to stop painting."""
        if now is None or now.position is None:
            return None
        if self.checkpoint is None:
            self._open()
        if self.checkpoint is None:
            return None
        evaluations = [self.evaluations[scale] for scale in range(1, now.scale + 1)]
        about = {**self._description, "evaluations": evaluations, "steps": now.steps, "every": self.saving.every}
        with self.noting():
            self.checkpoint.save(now.position, about)
            return self.checkpoint.folder
        return None

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

    def _open(self) -> None:
        """A checkpoint in the cache, unless nobody wants one."""
        if not self.saving.enabled or self._cache_failed:
            return
        stem = re.sub(r"[^\w.-]", "_", self.job.output.stem)[:80]
        folder = default_folder() / f"{stem}-{secrets.token_hex(4)}"
        self._cache_failed = True  # until it has not
        with self.noting():
            self.checkpoint = Checkpoint(folder, every=self.saving.every)
            self._cache_failed = False
            clean_up()

    def _say_how_it_goes_on(self, saved: Saved, kept: Kept) -> None:
        for path in saved.damaged:
            self._note(f"{path} is damaged; went back to the checkpoint before it")
        self._note(f"goes on from evaluation {saved.position.step} of {kept['steps']}")
        before, here = kept["machine"], machine(self.job.settings)
        changed = [f"{name} {here[name]}, not {before.get(name)}" for name in here if here[name] != before.get(name)]
        if changed:
            self._note(f"{'; '.join(changed)}: the picture may differ from an uninterrupted one")

    def _note(self, words: str) -> None:
        if words not in self._noted:
            self.reporter.note(words)
            self._noted.add(words)


def _kept(job: Mapping[str, Any]) -> Kept:
    """What was kept beside a job.

    Raises:
        CheckpointError: it is not that.
    """
    try:
        kept: Kept = decoded(Kept, {name: job[name] for name in Kept.__annotations__ if name in job}, "job")
    except TypeError as error:
        raise CheckpointError(f"this checkpoint is damaged ({error}); paint from the start") from error
    return kept
