"""Work on files in processes of their own, whose memory and time are bounded, for tests with hostile files.

Each is a fork of a server process that has imported everything and done nothing: what it takes is its own, and what
goes wrong there (a crash, a hang, too much memory) is an outcome, not the end of the test. Forks of the test's own
process would not do: libvips has threads there, which a fork does not have, and would wait for them.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from impasto.errors import ImageError, ImpastoError
from impasto.images.reading import read_image, read_settings
from impasto.network.weights import load_vgg
from impasto.settings import Settings

SECONDS = 20  # that one file may take,
BYTES = 10**9  # and so much memory
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["impasto.images.reading", "impasto.network.weights", "impasto.settings"])


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
        seconds: after so many the process is killed.
        memory: bytes of address space beyond what is there already; None is any amount.
    """
    receive, send = FORKS.Pipe(duplex=False)
    child = FORKS.Process(target=_child, args=(send, work, given, seconds, memory))
    child.start()
    send.close()
    try:
        return Outcome(*receive.recv())
    except EOFError:
        child.join()
        code = child.exitcode or 0
        return Outcome(f"ended by {signal.Signals(-code).name if code < 0 else f'status {code}'}")
    finally:
        child.join()
        receive.close()


def _child(send: Connection, work: Callable[..., str], given: Any, seconds: int, memory: int | None) -> None:
    before = _pages(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory is not None:
        space = _pages(0) + memory
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)
    try:
        words, ended = work(*given), True
    except BaseException as error:
        words, ended = f"{type(error).__name__}: {error}", False
    usage = resource.getrusage(resource.RUSAGE_SELF)
    grown = max(0, usage.ru_maxrss * 1024 - before)
    text = words.encode(errors="backslashreplace")[:4000].decode(errors="replace")
    send.send((text, grown, usage.ru_utime + usage.ru_stime, ended))
    send.close()
    os._exit(0)  # at once: threads of libraries may not come to an end within the limits


def _pages(field: int) -> int:
    """Of /proc/self/statm, in bytes: 0 is the address space, 1 what is resident."""
    return int(Path("/proc/self/statm").read_text().split()[field]) * resource.getpagesize()


# Work


def read_or_refuse(path: Path) -> str:
    """What became of a file, in words; raises what is neither a picture nor a sentence."""
    try:
        image = read_image(path).image
    except ImageError as error:
        words = str(error)
        if str(path) not in words or "\n" in words:
            raise AssertionError(words) from error
        return words
    finally:
        try:
            if (text := read_settings(path)) is not None:
                Settings.from_json(text)
        except ImpastoError:
            pass
    assert image.isfinite().all()
    return "read"


def read_large(path: Path, size: int, memory: str) -> str:
    """The shape of a picture that is read within an amount of memory."""
    return str(read_image(path, size, memory=memory).image.shape)


def read_weights(path: Path) -> str:
    """Whose weights a file holds."""
    return load_vgg(path).description
