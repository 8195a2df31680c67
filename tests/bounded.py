"""Work on files in processes of their own, whose memory and time are bounded, for tests with hostile files.

Each is a fork of a server process that has imported everything and done nothing: what it takes is its own, and what
goes wrong there (a crash, a hang, too much memory) is an outcome, not the end of the test. Forks of the test's own
process would not do: libvips has threads there, which a fork does not have, and would wait for them.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, Main, random_image
from torch import Tensor

from impasto.cli.config import defaults
from impasto.cli.one import planned
from impasto.cli.options import Files
from impasto.cli.terminal import Terminal
from impasto.errors import ImageError, ImpastoError
from impasto.images.reading import read_image, to_image, write_image
from impasto.network.streamed import transform
from impasto.network.transform import shares_of
from impasto.network.transform_file import load_transform, shares_in
from impasto.network.weights import load_vgg
from impasto.runs.film import film_file
from impasto.runs.manifest import read_manifest
from impasto.settings import Settings

if sys.platform != "linux":
    pytest.skip("files are bounded by Linux's limits on processes", allow_module_level=True)
resource = pytest.importorskip("resource")

SECONDS = 20  # that one file may take,
BYTES = 10**9  # and so much memory
PATIENCE = 30  # times longer by the clock, for what waits instead of working
FORKS = multiprocessing.get_context("forkserver")
OURS = (
    "painting",
    "images.gallery",
    "cli.config",
    "cli.one",
    "cli.terminal",
    "runs.paint_file",
    "runs.film",
    "runs.manifest",
    "runs.batch",
    "cli.many",
)
FORKS.set_forkserver_preload([*(f"impasto.{name}" for name in OURS), "pytest", "av", "pillow_heif", "cv2"])


@dataclass(frozen=True)
class Outcome:
    """What became of it.

    Attributes:
        words: what `work` returned; or how the process ended.
        bytes: the most that it held beyond what it began with.
        seconds: of processor time.
        ended: it returned, instead of crashing, hanging or running out of memory.
    """

    words: str
    bytes: int = 0
    seconds: float = 0.0
    ended: bool = False


def bounded(work: Callable[..., str], *given: Any, seconds: int = SECONDS, memory: int | None = BYTES) -> Outcome:
    """Do some work in a process of its own.

    Args:
        work: a function of this module; what it raises becomes the words "KIND: message", and `ended` is False.
        given: its arguments.
        seconds: of processor time, after which the process is killed.
        memory: bytes of address space beyond what is there already; None is any amount.
    """
    (outcome,) = bounded_all([(work, *given)], seconds=seconds, memory=memory)
    return outcome


def bounded_all(
    works: Sequence[tuple[Any, ...]], *, seconds: int = SECONDS, memory: int | None = BYTES
) -> Iterator[Outcome]:
    """Do one piece of work after the other, in one process as long as it lives: memory is the most so far."""
    done = 0
    while done < len(works):
        receive, send = FORKS.Pipe(duplex=False)
        child = FORKS.Process(target=_child, args=(send, works[done:], seconds, memory))
        child.start()
        send.close()
        try:
            while done < len(works):
                yield Outcome(*receive.recv())
                done += 1
        except EOFError:
            child.join()
            code = child.exitcode or 0
            yield Outcome(f"ended by {signal.Signals(-code).name if code < 0 else f'status {code}'}")
            done += 1
        finally:
            child.join()
            receive.close()


def _child(send: Connection, works: Sequence[tuple[Any, ...]], seconds: int, memory: int | None) -> None:
    before = _pages(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory is not None:
        space = _pages(0) + memory
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
    for name in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(name, signal.SIG_DFL)
    for work, *given in works:
        begun = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, seconds)  # of the processor, whatever else the machine does
        signal.alarm(PATIENCE * seconds)
        try:
            words, ended = work(*given), True
        except BaseException as error:
            words, ended = f"{type(error).__name__}: {error}", False
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        grown = max(0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before)
        text = words.encode(errors="backslashreplace")[:4000].decode(errors="replace")
        send.send((text, grown, time.process_time() - begun, ended))
    send.close()
    os._exit(0)  # at once: threads of libraries may not come to an end within the limits


def _pages(field: int) -> int:
    """Of /proc/self/statm, in bytes: 0 is the address space, 1 what is resident."""
    return int(Path("/proc/self/statm").read_text().split()[field]) * resource.getpagesize()


# Work


def read_or_refuse(path: Path) -> str:
    """What became of a picture, in words; raises what is neither a picture nor a sentence."""
    try:
        image = read_image(path, max_memory=BYTES).image
        assert image.sum().isfinite()  # which needs no memory
        words = "read"
    except ImageError as error:
        words = _in_one_line(path, error)
    try:
        planned(path, ["ink"], Files(like=path), {}, Terminal(quiet=True))
    except ImpastoError as error:
        _in_one_line("", error)
    return words


def read_large(path: Path, size: int, memory: str) -> str:
    """The shape of a picture that is read within an amount of memory."""
    return str(read_image(path, size, memory=memory).image.shape)


def read_weights(path: Path) -> str:
    """Whose weights a file holds; or a sentence."""
    try:
        return load_vgg(path).description
    except ImpastoError as error:
        return str(error)


class Unpainted:
    """In place of a painter: its pictures are the frames, and small."""

    def film(self, frames: Iterable[Any], *_: object, **__: object) -> Iterator[Tensor]:
        for frame in frames:
            yield to_image(frame, 64).image


def read_film(path: Path) -> str:
    """What became of a film of which at most twenty frames are painted; or a sentence."""
    output = path.with_suffix(".mp4")
    try:
        film_file(path, ["ink"], output, Settings(), Unpainted(), every=lambda number, _: number < 20)  # type: ignore[arg-type]
    except ImpastoError as error:
        return _in_one_line(path, error)
    assert output.stat().st_size
    output.unlink()
    return "read"


def read_network(path: Path) -> str:
    """What became of a network that paints a style, and of a small picture that it paints; or a sentence."""
    try:
        network, about = load_transform(path)
        words = f"{', '.join(about.names)} {about.made}"
        shares = shares_of(shares_in(path, about, ""))
    except ImpastoError as error:
        return _in_one_line(path, error)
    assert words.isprintable(), ascii(words)
    painted = transform(network, torch.linspace(0, 1, 3 * 24 * 32).view(1, 3, 24, 32), shares)
    assert painted.isfinite().all()
    return "read"


def read_frames(path: Path) -> str:
    """What became of a folder of frames, which a file describes: a JSON list of names and contents (latin-1)."""
    folder = path.with_suffix(".frames")
    folder.mkdir(exist_ok=True)
    for name, content in json.loads(path.read_bytes()):
        (folder / name).write_bytes(content.encode("latin-1"))
    try:
        return read_film(folder)
    finally:
        shutil.rmtree(folder)


def read_list(path: Path) -> str:
    """What became of a list of pictures that `impasto batch` paints: a sentence if not all are."""
    os.chdir(path.parent)
    for name in ("a.png", "w.png"):
        write_image(name, random_image(24, 32))
    before = {*path.parent.iterdir(), *path.parent.parent.iterdir()}
    given = path.with_suffix(".jsonl" if path.read_bytes()[:1] == b"{" else ".csv")
    given.write_bytes(path.read_bytes())
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        options = ["--size", "32", "--quality", "draft", "-o", "out"]
        status = Main(TINY)(["batch", "--manifest", str(given), *options])
    given.unlink()
    shutil.rmtree("out", ignore_errors=True)
    made = {*path.parent.iterdir(), *path.parent.parent.iterdir()} - before
    words = said.getvalue()
    assert status in (0, 1, 2), words
    assert "fault of impasto" not in words, words[-1000:]
    assert not made, made
    assert not Path("/evil.png").exists()
    return "read" if status == 0 else words


def read_texts(path: Path) -> str:
    """What a file says as the defaults of a folder, and as two kinds of a list of pictures; or sentences."""
    os.chdir(path.parent)
    os.environ["XDG_CONFIG_HOME"] = str(path.parent)
    words = []
    for name in ("impasto.toml", "list.csv", "list.jsonl"):
        copy = path.with_name(name)
        copy.write_bytes(path.read_bytes())
        try:
            found = defaults() if name == "impasto.toml" else read_manifest(copy, Settings(), path.parent)
            words.append(f"{len(found)} read")
        except ImpastoError as error:
            words.append(_in_one_line(copy, error))
        copy.unlink()
    return "; ".join(words)


def _in_one_line(path: Path | str, error: ImpastoError) -> str:
    words = str(error)
    if str(path) not in words or "\n" in words or len(words) > 2000:
        raise AssertionError(words) from error
    return words
