"""Many pictures: planned at once, painted one after the other, each complete in its file or not there at all.

    tasks = plan([Path("a.jpg"), Path("b.jpg")], [style_path("nocturne")], Settings(quality="draft"), Path("out"))
    for result in paint_all(Painter(), tasks):
        print(result.task.output, result.status)

A picture carries a key inside: a hash of what it was painted from, and how. Whoever paints the same tasks again finds
it and goes on with the next one, so that a batch that was killed is finished by the same command. An exclusive claim
beside each file keeps two processes from painting the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from filelock import FileLock, Timeout

from impasto.errors import ImageError, ImpastoError, is_out_of_memory
from impasto.images.areas import with_words
from impasto.images.found import NOT_FOUND
from impasto.images.gallery import style_pictures
from impasto.images.origin import Origin
from impasto.images.reading import read_image, read_key, write_image
from impasto.network.weights import VGGWeights, sha256
from impasto.painting import Painter
from impasto.settings import INITS, Settings

Watch: TypeAlias = Callable[["Task", float], None]
"""Is told after each step which picture it is of, and how much of it is done, from 0 to 1."""
TICK = 0.2  # seconds between looks at what several processes have done
LONGEST_LABEL = 100  # bytes: two of them and an extension are a name that any file system takes


@dataclass(frozen=True)
class Task:
    """A picture to be painted.

    Attributes:
        content: the photograph.
        style: the paintings, blended: files, or folders that are one style each.
        settings: how.
        output: the picture.
        keep_metadata: keep the photograph's metadata, but its location.
        keep_location: keep the photograph's metadata and its location.
        protect: an area that is found in the photograph and stays as it is, as "faces"; None for none.
    """

    content: Path
    style: tuple[Path, ...]
    settings: Settings
    output: Path
    keep_metadata: bool = False
    keep_location: bool = False
    protect: str | None = None

    @property
    def has_metadata(self) -> bool:
        """Whether anything of the photograph's is kept."""
        return self.keep_metadata or self.keep_location


@dataclass(frozen=True)
class Result:
    """What became of a task.

    Attributes:
        task: it.
        status: painted; there, where it had been painted before; or failed.
        seconds: that it took.
        error: why it failed.
        note: what was to be found in the photograph, and was not.
    """

    task: Task
    status: Literal["painted", "there", "failed"]
    seconds: float = 0.0
    error: str | None = None
    note: str | None = None


def plan(
    photographs: Sequence[Path], paintings: Sequence[Path], settings: Settings, folder: Path, extension: str = ".png"
) -> list[Task]:
    """Every photograph in the style of every painting, into a folder, as PHOTOGRAPH-PAINTING.png.

    Where two names would be the same, what tells them apart is added: the extension, the folder, or a hash of the path.
    """
    photographs, paintings = _without_repeats(photographs), _without_repeats(paintings)
    of_photograph, of_painting = labels(photographs), labels(paintings)
    tasks = [
        Task(photograph, (painting,), settings, folder / f"{of_photograph[photograph]}-{of_painting[painting]}")
        for photograph in photographs
        for painting in paintings
    ]
    counts = Counter(task.output.name.casefold() for task in tasks)  # "a-b" with "c", and "a" with "b-c"
    return [replace(task, output=folder / f"{_told_apart(task, counts)}{extension}") for task in tasks]


def labels(paths: Sequence[Path]) -> dict[Path, str]:
    """A short name for each of some files, no two the same, also where capitals do not count."""
    found = {path: _short(path.stem) for path in paths}
    ways: list[Callable[[Path], str]] = [
        lambda path: _short(path.name.replace(".", "_")),
        lambda path: _short(f"{path.absolute().parent.name}_{path.name.replace('.', '_')}"),
        lambda path: f"{_short(path.stem)}_{_hash(str(path.absolute()))[:8]}",
    ]
    for way in ways:
        counts = Counter(label.casefold() for label in found.values())
        found = {path: way(path) if counts[label.casefold()] > 1 else label for path, label in found.items()}
    return found


def key(task: Task, source: str | Path | VGGWeights | None = None, digest: Callable[[Path], str] = sha256) -> str:
    """A hash of all that decides about a picture: the contents of the files, and the settings.

    Args:
        task: the picture.
        source: the network's weights, as of `Models`.
        digest: of a file.

    Raises:
        ImpastoError: a file is not there or none, or a folder holds no pictures.
    """

    def hashed(path: Path) -> str:
        if path.exists() and not path.is_file():  # a folder; or a device or a pipe, which may never end
            raise ImageError(f"{path} is no file; give a picture")
        return digest(path)

    inputs: dict[str, Any] = {
        "content": hashed(task.content),
        "style": [[hashed(picture) for picture in style_pictures(painting)] for painting in task.style],
        "settings": task.settings.to_json(),
        "init": None if task.settings.init in INITS else hashed(Path(task.settings.init)),
        "weights": source.description if isinstance(source, VGGWeights) else source and digest(Path(source)),
    }
    if task.protect is not None:
        inputs["protect"] = task.protect
    if task.has_metadata:
        inputs["metadata"] = "all" if task.keep_location else "no location"
    return _hash(json.dumps(inputs, sort_keys=True))


def paint_all(
    painter: Painter, tasks: Iterable[Task], *, jobs: int = 1, watch: Watch | None = None
) -> Iterator[Result]:
    """Paint what is not there yet; a picture that cannot be painted is a result too, and the next one follows.

    On a cluster the same is `impasto.runs.cluster.paint_tasks`.

    Args:
        painter: holds the networks.
        tasks: what to paint.
        jobs: processes that share the work, each with networks of its own.
        watch: is told every step.

    Yields:
        A result for each task, as they are done. Those that another process is painting come last: they are waited for.
    """
    if jobs > 1:
        yield from _spread(painter, list(tasks), jobs, watch)
        return
    paint = TaskPainter(painter)
    postponed = []
    for task in tasks:
        result = paint(task, watch=watch)
        if result is None:
            postponed.append(task)
        else:
            yield result
    for task in postponed:
        result = paint(task, watch=watch, patient=True)
        assert result is not None
        yield result


class TaskPainter:
    """Paints one task after the other, and remembers what neighbours have in common: a photograph, hashes of files."""

    def __init__(self, painter: Painter) -> None:
        self.painter = painter
        self._photograph: tuple[Any, Any] = (None, None)
        self._digests: dict[Any, str] = {}

    def __call__(self, task: Task, *, watch: Watch | None = None, patient: bool = False) -> Result | None:
        """Paint a task, if it is not there yet; None if another process is painting it, unless `patient`."""
        begun = time.monotonic()
        try:
            task.output.parent.mkdir(parents=True, exist_ok=True)
            with claimed(task.output, patient=patient) as ours:
                if not ours:
                    return None
                wanted = key(task, self.painter.models.source, self._digest)
                if is_there(task.output, wanted):
                    return Result(task, "there")
                note = self._paint(task, wanted, watch)
        except Exception as error:  # of whatever kind: the other pictures are to be painted
            return Result(task, "failed", time.monotonic() - begun, _words(error))
        return Result(task, "painted", time.monotonic() - begun, note=note)

    def _paint(self, task: Task, wanted: str, watch: Watch | None) -> str | None:
        """Paint and write a picture; what was not found in its photograph."""
        settings = task.settings
        what = self._stamp(task.content), settings.longer_side
        if self._photograph[0] != what:
            self._photograph = what, read_image(task.content, settings.longer_side)
        photograph = self._photograph[1]
        note = None
        for progress in self.painter.steps(photograph, list(task.style), settings, protect=task.protect):
            note = next((said for said in progress.notes if said in NOT_FOUND.values()), note)
            if watch:
                watch(task, progress.done)
        write_image(
            task.output,
            progress.image,
            alpha=photograph.alpha,
            settings=with_words(settings.to_json(), {"protect": task.protect}),
            key=wanted,
            origin=Origin.of(task.content, task.style, progress.step, progress.steps).to_json(),
            metadata=photograph.metadata if task.has_metadata else None,
            catalogue=photograph.catalogue if task.has_metadata else None,
            keep_location=task.keep_location,
            density=photograph.density,
        )
        return note

    def _digest(self, path: Path) -> str:
        stamp = self._stamp(path)
        if stamp not in self._digests:
            self._digests[stamp] = sha256(path)
        return self._digests[stamp]

    def _stamp(self, path: Path) -> tuple[Path, int, int]:
        try:
            found = path.stat()
        except OSError as error:
            raise ImageError(f"cannot read {path}: {error.strerror}") from None
        return path, found.st_size, found.st_mtime_ns


def is_there(output: Path, wanted: str) -> bool:
    """Whether a picture has been painted with a key; one of another key may be painted over.

    Raises:
        ImageError: it was not painted by a batch, or cannot be read, and is not to be lost.
    """
    if not output.exists():
        return False
    try:
        found = read_key(output)
    except ImageError as error:  # pictures of ours are never half written: it is somebody else's, or was damaged since
        raise ImageError(f"{output} is there and cannot be read ({error}); move it, or give another folder") from None
    if found is None:
        raise ImageError(f"{output} is there and is not of a batch; move it, or give another folder")
    return found == wanted


@contextlib.contextmanager
def claimed(output: Path, *, patient: bool = False) -> Iterator[bool]:
    """An exclusive claim to a file, which ends with the process that holds it; False if another one has it.

    Whoever waits for a claim while it is given back may get that of a file already removed; the picture is done then,
    and found to be there.
    """
    path = output.with_name(f".impasto-{_hash(output.name)[:16]}.claim")
    lock = FileLock(path)
    try:
        lock.acquire(blocking=patient)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        if os.name == "posix":  # elsewhere an open file cannot be removed
            path.unlink(missing_ok=True)
        lock.release()


# Several processes

Steps: TypeAlias = "multiprocessing.Queue[tuple[Task, float]]"
_paint: TaskPainter | None = None  # of this process, where it is one of several
_steps: Steps | None = None  # where it tells what it has done


def _spread(painter: Painter, tasks: list[Task], jobs: int, watch: Watch | None) -> Iterator[Result]:
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    steps: Steps = context.Queue()
    pool = ProcessPoolExecutor(
        jobs,
        mp_context=context,
        initializer=_begin,
        initargs=(painter.models.source, max(1, torch.get_num_threads() // jobs), steps if watch else None),
    )
    try:
        for patient in (False, True):
            waiting: dict[Future[Result | None], Task] = {pool.submit(_paint_one, t, patient): t for t in tasks}
            tasks = []
            while waiting:
                ended = wait(waiting, TICK if watch else None, return_when=FIRST_COMPLETED).done
                for task, share in _arrived(steps):
                    if watch:
                        watch(task, share)
                for future in ended:
                    task = waiting.pop(future)
                    result = future.result()
                    if result is None:
                        tasks.append(task)
                    else:
                        yield result
    except BrokenProcessPool:
        raise ImpastoError(
            "a process that painted was killed, perhaps because memory ran out; "
            "the same command goes on, with fewer jobs"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _arrived(steps: Steps) -> Iterator[tuple[Task, float]]:
    with contextlib.suppress(queue.Empty):
        while True:
            yield steps.get_nowait()


def _begin(source: str | Path | VGGWeights | None, threads: int, steps: Steps | None) -> None:
    """Make this process a worker, which Ctrl-C ends at once, and the end of the one that started it too."""
    global _paint, _steps
    _steps = steps
    if steps:
        steps.cancel_join_thread()  # what nobody reads any more must not keep this process
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    _paint = TaskPainter(Painter(weights=source))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait_for([parent.sentinel])
    os._exit(1)


def _paint_one(task: Task, patient: bool) -> Result | None:
    assert _paint is not None
    return _paint(task, patient=patient, watch=_tell if _steps else None)


def _tell(task: Task, share: float) -> None:
    assert _steps is not None
    _steps.put((task, share))


# Names and words


def _without_repeats(paths: Sequence[Path]) -> list[Path]:
    return list({os.path.realpath(path): path for path in reversed(paths)}.values())[::-1]


def _told_apart(task: Task, counts: Counter[str]) -> str:
    """The name of an output without an extension, with a hash where it is not the only one of the name."""
    name = task.output.name
    paths = [str(path.absolute()) for path in (task.content, *task.style)]
    return name if counts[name.casefold()] == 1 else f"{name}_{_hash(json.dumps(paths))[:8]}"


def _short(text: str) -> str:
    return os.fsencode(text)[:LONGEST_LABEL].decode(errors="ignore")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _words(error: Exception) -> str:
    if isinstance(error, ImpastoError):
        return str(error)
    if is_out_of_memory(error):
        return "out of memory; give a smaller memory or size, or fewer jobs"
    return f"{type(error).__name__}: {error}"
