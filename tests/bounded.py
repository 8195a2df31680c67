"""Read picture files in processes of their own, whose memory and time are bounded, for tests with hostile files.

A file is read in a fork of a process that has imported everything: what it takes is its own, and what goes wrong there
(a crash, a hang, too much memory) is an outcome, not the end of the test.
"""

from __future__ import annotations

import os
import resource
import signal
import struct
from collections.abc import Callable
from dataclasses import dataclass

SECONDS = 20  # that one file may take,
BYTES = 10**9  # and so much memory


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
    bytes: int
    seconds: float
    ended: bool


def bounded(work: Callable[[], str], *, seconds: int = SECONDS, memory: int | None = BYTES) -> Outcome:
    """Do some work in a process of its own.

    Args:
        work: returns a few words; what it raises becomes the words "KIND: message", and `ended` is False.
        seconds: after so many the process is killed.
        memory: bytes of address space beyond what is there already; None is any amount.
    """
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(receive)
            before = _resident()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if memory is not None:
                space = _pages(0) + memory
                resource.setrlimit(resource.RLIMIT_AS, (space, space))
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(seconds)
            ended, words = _tried(work)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            text = words.encode(errors="backslashreplace")[:4000]
            os.write(send, struct.pack("<?q", ended, max(0, peak - before)) + text)
            status = 0
        finally:
            os._exit(status)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        answer = pipe.read()
    _, status, usage = os.wait4(child, 0)
    spent = usage.ru_utime + usage.ru_stime
    if not answer:
        number = os.waitstatus_to_exitcode(status)
        name = signal.Signals(-number).name if number < 0 else f"status {number}"
        return Outcome(f"ended by {name}", usage.ru_maxrss * 1024, spent, ended=False)
    ended, growth = struct.unpack_from("<?q", answer)
    return Outcome(answer[struct.calcsize("<?q") :].decode(), growth, spent, ended)


def _tried(work: Callable[[], str]) -> tuple[bool, str]:
    try:
        return True, work()
    except BaseException as error:
        return False, f"{type(error).__name__}: {error}"


def _resident() -> int:
    return _pages(1)


def _pages(field: int) -> int:
    """Of /proc/self/statm, in bytes: 0 is the address space, 1 what is resident."""
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[field]) * resource.getpagesize()
