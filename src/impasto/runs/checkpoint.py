"""Where a painting stands, on disk: it goes on to the same picture after a stop, a crash or a power cut.

A checkpoint is a folder of at most two files, the newest state and the one before it. Each is complete in itself:
tensors as safetensors, everything else as JSON in its header, and a hash over both. No code is ever read from it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from impasto.errors import CheckpointError
from impasto.images.writing import flush_to_disk
from impasto.network.weights import cache_folder
from impasto.painting import Position
from impasto.runs.stored import decoded
from impasto.runs.walk import checked_walk

FORMAT = 2
GENERATIONS = 2  # kept: the newest, and the one before in case it is damaged
EVERY = 60.0  # seconds between two saves, at least,
SHARE = 0.05  # and so much of the time at most is spent on them
KEPT, KEPT_BYTES = 20, 10 * 2**30  # in the user's cache; more are cleaned up, the oldest first
PATTERN = "*.safetensors"
UNREADABLE = (OSError, SafetensorError, ValueError, LookupError, TypeError, RecursionError)  # of a file that is damaged

Check: TypeAlias = Callable[[Position], Position]


class Stored(TypedDict):
    """A position as JSON; its tensors are named in the state."""

    scale: int
    step: int
    memory: int
    state: dict[str, Any]


@dataclass(frozen=True)
class Saved:
    """A state as it was found on disk.

    Attributes:
        path: its file.
        position: for `paint_steps(resume=...)`.
        job: what the one who saved it wanted to know again, as `impasto.runs.job.Job.to_json`.
        damaged: newer files that could not be read.
    """

    path: Path
    position: Position
    job: dict[str, Any]
    damaged: tuple[Path, ...] = ()


class Checkpoint:
    """A folder into which states are saved; locked against other processes until it is closed.

        with Checkpoint("run") as checkpoint:
            for progress in paint_steps(photo, painting, resume=checkpoint.position):
                checkpoint.save(progress.position)

    Args:
        folder: created if it does not exist. Files of others in it are left alone.
        every: seconds between two saves, for `due`; saving takes a twentieth of the time at most, unless they are 0.
        check: as of `load`.

    Attributes:
        saved: what was found in the folder; None if nothing was.

    Raises:
        CheckpointError: the folder cannot be used, is in use, or holds nothing but damaged files.
    """

    def __init__(self, folder: str | Path, *, every: float = EVERY, check: Check = checked_walk) -> None:
        self.folder, self.every = Path(folder), every
        self.ready = float("-inf")  # the time of the next save
        self.made = not self.folder.exists()
        with _said(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.lock = _locked(self.folder)
            _remove_unfinished(self.folder)
        try:
            self.saved = load(self.folder, check) if _generations(self.folder) else None
        except CheckpointError:
            self.close()
            raise

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def position(self) -> Position | None:
        """From where to go on; None to begin."""
        return self.saved.position if self.saved else None

    @property
    def due(self) -> bool:
        """Whether the last save is long enough ago; always, where every is 0."""
        return self.every == 0 or time.monotonic() >= self.ready

    def save(self, position: Position, job: Mapping[str, Any] | None = None) -> None:
        """Save a state, and remove all but the one before it. A crash at any moment leaves a complete one.

        Args:
            position: of the step under way (`Progress.position`).
            job: anything that JSON can hold, for `Saved.job`.

        Raises:
            CheckpointError: it cannot be written; those that were there still are.
        """
        begun = time.monotonic()
        older = _generations(self.folder)
        number = int(older[-1].stem) + 1 if older else 1
        with _said(self.folder):
            _write(self.folder / f"{number:06d}.safetensors", position, dict(job or {}))
            for path in older[: 1 - GENERATIONS]:
                path.unlink(missing_ok=True)
        now = time.monotonic()
        self.ready = now + max(self.every, (now - begun) / SHARE)

    def remove(self) -> None:
        """Remove what was saved, since the picture is done; the folder too, unless it holds something else."""
        with contextlib.suppress(OSError):
            for path in [*_generations(self.folder), *_unfinished(self.folder)]:
                path.unlink(missing_ok=True)
        self.made = True
        self.close()

    def close(self) -> None:
        """Let others use the folder; where nothing is saved, leave no trace."""
        if self.lock.is_locked and not _generations(self.folder):
            _unlocked(self.lock, self.folder, remove=self.made)
        self.lock.release()


def load(folder: str | Path, check: Check = checked_walk) -> Saved:
    """The newest state in a folder that is not damaged.

    Args:
        check: refuses, by an error, what cannot be gone on from; of a painting unless another is given.

    Raises:
        CheckpointError: there is none.
    """
    folder = Path(folder)
    damaged: list[Path] = []
    reason = ""
    for path in reversed(_generations(folder)):
        try:
            position, job = _read(path)
            position = check(position)
        except CheckpointError:
            raise
        except UNREADABLE as error:
            damaged.append(path)
            reason = " ".join(str(error).split())
        else:
            return Saved(path, position, job, tuple(damaged))
    if damaged:
        raise CheckpointError(f"{damaged[-1]} is damaged ({reason}), and there is none before it; paint from the start")
    raise CheckpointError(f"{folder} holds no checkpoint; `impasto resume --list` shows those of the cache")


def job_in(folder: Path) -> dict[str, Any]:
    """What was kept with the newest state, without reading its tensors; empty if nothing can be read."""
    for path in reversed(_generations(folder)):
        with contextlib.suppress(*UNREADABLE), safe_open(path, "pt") as file:
            return decoded(dict[str, Any], json.loads(file.metadata()["checkpoint"])["job"], "job")  # type: ignore[no-any-return]
    return {}


def default_folder() -> Path:
    """Where checkpoints lie that were not given a folder, each in one of its own."""
    return cache_folder() / "checkpoints"


def checkpoints(root: Path | None = None) -> list[Path]:
    """The folders in `root` that hold a checkpoint, the newest first."""
    root = root or default_folder()
    folders = [path for path in root.iterdir() if _generations(path)] if root.is_dir() else []
    return sorted(folders, key=changed, reverse=True)


def changed(folder: Path) -> float:
    """When something was last saved there, in seconds since 1970."""
    return max((_stat(path).st_mtime for path in _generations(folder)), default=0.0)


def size(folder: Path) -> int:
    """Of what was saved there, in bytes."""
    return sum(_stat(path).st_size for path in [*_generations(folder), *_unfinished(folder)])


def clean_up(root: Path | None = None, *, keep: int = KEPT, keep_bytes: int = KEPT_BYTES) -> None:
    """Remove the oldest checkpoints beyond a number and a sum of bytes; never one that is in use."""
    total = 0
    for number, folder in enumerate(checkpoints(root), start=1):
        total += size(folder)
        if number > keep or total > keep_bytes:
            with contextlib.suppress(CheckpointError):
                forget(folder)
    root = root or default_folder()
    for folder in root.iterdir() if root.is_dir() else ():  # killed while the first state was written
        if not _generations(folder) and _unfinished(folder):
            with contextlib.suppress(CheckpointError):
                forget(folder)


def forget(folder: Path) -> None:
    """Remove a checkpoint, damaged or not.

    Raises:
        CheckpointError: it is in use.
    """
    with _said(folder):
        lock = _locked(folder)
        for path in [*_generations(folder), *_unfinished(folder)]:
            path.unlink(missing_ok=True)
        _unlocked(lock, folder, remove=True)


def _locked(folder: Path) -> FileLock:
    """A folder's lock, held.

    Who removes the lock's file does so while holding it. Who takes it looks whether it is still the file in the folder:
    otherwise one process would hold the file that was removed, and the next one a new one.
    """
    path = folder / "lock"
    for _ in range(10):
        lock = FileLock(path, timeout=0)
        with contextlib.suppress(FileNotFoundError):  # removed, with its folder perhaps, between these lines
            path.touch()
            before = path.stat().st_ino
            try:
                lock.acquire()
            except Timeout:
                break
            if path.exists() and path.stat().st_ino == before:
                return lock
        lock.release()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    raise CheckpointError(f"{folder} is in use by another run; wait for it, or choose another folder")


def _unlocked(lock: FileLock, folder: Path, *, remove: bool) -> None:
    """Release a lock and leave no file of it, nor its folder if that shall go and is empty."""
    with contextlib.suppress(OSError):  # Windows removes no file that is open; there filelock does, at release
        (folder / "lock").unlink(missing_ok=True)  # while it is held: see `_locked`
    lock.release()
    if remove:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _unfinished(folder: Path) -> list[Path]:
    """What a process leaves that is killed while it writes: safetensors names its files so, and we our own."""
    return [*folder.glob(".tmp*"), *folder.glob("*.part")]


def _remove_unfinished(folder: Path) -> None:
    for path in _unfinished(folder):
        path.unlink(missing_ok=True)


def _generations(folder: Path) -> list[Path]:
    """The files of a checkpoint, the oldest first."""
    return sorted(path for path in folder.glob(PATTERN) if path.stem.isdecimal())


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError:  # another process has just removed it
        return os.stat_result((0,) * 10)


@contextlib.contextmanager
def _said(folder: Path) -> Iterator[None]:
    """Say what the disk refused in our words."""
    try:
        yield
    except CheckpointError:
        raise
    except (OSError, SafetensorError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise CheckpointError(f"cannot keep a checkpoint in {folder}: {reason}; choose another folder") from error


# Files


def _write(path: Path, position: Position, job: dict[str, Any]) -> None:
    tensors: dict[str, Tensor] = {}
    names: dict[tuple[Any, ...], str] = {}
    state = _split(position.state, tensors, names)
    text = json.dumps({"format": FORMAT, "position": {**vars(position), "state": state}, "job": job})
    part = path.with_suffix(".part")
    try:
        save_file(tensors, part, metadata={"checkpoint": text, "sha256": _digest(text, tensors)})
        flush_to_disk(part)
        part.replace(path)
        flush_to_disk(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _read(path: Path) -> tuple[Position, dict[str, Any]]:
    with safe_open(path, "pt") as file:
        header = file.metadata()
        # cloned: the file may be removed while its tensors live, and memory of torch's own is aligned
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    text = header["checkpoint"]
    if header["sha256"] != _digest(text, tensors):
        raise ValueError("its hash is another one")
    found = json.loads(text)
    if found["format"] != FORMAT:
        raise CheckpointError(
            f"{path} is of another version of impasto (its format is {found['format']!r:.50}); use that"
        )
    stored: Stored = decoded(Stored, found["position"], "position")
    if min(stored["scale"], stored["step"], stored["memory"]) < 1:
        raise ValueError("position is before the first step")
    return Position(**{**stored, "state": _join(stored["state"], tensors)}), decoded(
        dict[str, Any], found["job"], "job"
    )


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    sha256 = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        sha256.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return sha256.hexdigest()


def _split(state: Any, tensors: dict[str, Tensor], names: dict[tuple[Any, ...], str]) -> Any:
    """The state with names in place of its tensors, which go to `tensors`; one that occurs twice goes there once."""
    if isinstance(state, dict):
        return {key: _split(value, tensors, names) for key, value in state.items()}
    if isinstance(state, list):
        return [_split(value, tensors, names) for value in state]
    if not isinstance(state, Tensor):
        return state
    # The order of the axes in memory is kept (channels may come last there), since sums depend on it in their last bit.
    order = sorted(range(state.ndim), key=lambda axis: -state.stride()[axis])
    key = (state.data_ptr(), state.shape, state.stride(), state.dtype)
    if key not in names:
        names[key] = f"{len(names):04d}"
        laid_out = state.detach().permute(order).contiguous().cpu()
        own = laid_out.untyped_storage().nbytes() == laid_out.nbytes  # and not a part of a larger one
        tensors[names[key]] = laid_out if own else laid_out.clone()
    return {"tensor": names[key], "axes": order}


def _join(state: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Inverse of `_split`."""
    if isinstance(state, dict) and state.keys() == {"tensor", "axes"}:
        tensor, axes = tensors[decoded(str, state["tensor"])], decoded(list[int], state["axes"])
        if sorted(axes) != list(range(tensor.ndim)):
            raise ValueError(f"the axes of a tensor are {axes}")
        return tensor.permute(sorted(range(tensor.ndim), key=axes.__getitem__))
    if isinstance(state, dict):
        return {key: _join(value, tensors) for key, value in state.items()}
    if isinstance(state, list):
        return [_join(value, tensors) for value in state]
    return state
