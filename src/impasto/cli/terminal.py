"""What a person at a terminal sees of a picture being painted, and how Ctrl-C stops it."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, TYPE_CHECKING, Any, TextIO, cast

from rich.console import Console

from impasto.methods.watching import duration, progress_bar, size_of, update
from impasto.runs.reporter import Next

__all__ = ["Interruption", "Terminal", "duration", "give_up", "progress_console"]

if TYPE_CHECKING:
    from impasto.painting import Progress


def progress_console(*, quiet: bool) -> Console:
    """Where progress and notes are shown; when nobody reads them any more they are dropped, and work goes on."""
    return Console(file=cast(IO[str], _Dropping()), quiet=quiet)


class _Dropping:
    """Standard error, until it cannot be written (closed, full, its reader gone); from then on nothing is."""

    def __init__(self) -> None:
        self.stream = sys.stderr  # as it is now: a bar puts in its place what writes into the console, so into here

    def write(self, text: str) -> int:
        if self.stream is not None:
            try:
                return self.stream.write(text)
            except (OSError, ValueError):
                give_up(self.stream)
        return len(text)

    def flush(self) -> None:
        if self.stream is not None:
            try:
                self.stream.flush()
            except (OSError, ValueError):
                give_up(self.stream)

    def isatty(self) -> bool:
        return self.stream is not None and not self.stream.closed and self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    @property
    def encoding(self) -> str:
        return getattr(self.stream, "encoding", None) or "utf-8"


def give_up(stream: TextIO) -> None:
    """Let what else is written to a stream go nowhere: the interpreter must not try to flush it at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class Interruption:
    """Ctrl-C (SIGINT), SIGTERM and a closed terminal (SIGHUP) while painting.

    The first asks to stop after the evaluation under way; a second Ctrl-C stops at once. Before there is anything to
    keep (`armed` is False) the first stops at once too. Signals that the process ignores (nohup) stay ignored.

    Attributes:
        signal: what asked to stop; None if nothing did.
    """

    SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # the last is unknown to Windows

    def __init__(self, console: Console) -> None:
        self.console = console
        self.signal: signal.Signals | None = None
        self.armed = False

    def __enter__(self) -> Interruption:
        numbers = [getattr(signal, name) for name in self.SIGNALS if hasattr(signal, name)]
        heard = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
        self.previous: dict[int, Any] = {number: signal.signal(number, self._ask) for number in heard}
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self.previous.items():
            # Who pressed Ctrl-C twice may press it again while what was begun is put away.
            again = number == signal.SIGINT and kind is KeyboardInterrupt
            signal.signal(number, signal.SIG_IGN if again else handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        again, self.signal = self.signal is not None, self.signal or signal.Signals(number)
        if number == signal.SIGINT and (again or not self.armed):
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            raise KeyboardInterrupt
        if not self.armed:
            raise SystemExit(128 + number)
        if not again:
            with contextlib.suppress(OSError):  # the terminal may be gone
                self.console.print("stopping after this evaluation; Ctrl-C again stops at once", style="dim")


class Terminal:
    """A terminal that shows a run, and lets Ctrl-C stop it: the `Reporter` of the command line.

        with Terminal(quiet=False) as terminal:
            outcome = paint_file(job, painter, terminal, saving)

    A bar at a terminal, else a line for each scale; every note once.
    """

    def __init__(self, *, quiet: bool, console: Console | None = None) -> None:
        self.console = console or progress_console(quiet=quiet)
        self._interruption = Interruption(self.console)
        self._bar = progress_bar(self.console)
        self._noted: set[str] = set()
        self._announced: list[str] = []
        self._scale = 0

    def __enter__(self) -> Terminal:
        self._interruption.__enter__()
        self._task = self._bar.add_task("reading", total=None)
        self._bar.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()
        self._interruption.__exit__(kind, error, trace)

    @property
    def signal(self) -> signal.Signals | None:
        """What asked to stop; None if nothing did."""
        return self._interruption.signal

    def step(self, now: Progress) -> Next:
        while self._announced:
            self.say(self._announced.pop(0))
        for note in now.notes:
            self.note(note)
        if now.scale != self._scale and not self.console.is_terminal:
            known = self._scale > 0 and now.seconds_left is not None  # the first step has waited for the networks
            left = f", about {duration(now.seconds_left or 0)} left" if known else ""
            self.say(f"scale {now.scale} of {now.scales}, {size_of(now)}{left}")
        self._scale = now.scale
        update(self._bar, self._task, now)
        self._interruption.armed = True
        if self.signal is None:
            return Next.STEP
        # whoever sends SIGTERM or hangs up wants an end, and goes on later
        return Next.STOP if self.signal is signal.SIGINT else Next.SUSPEND

    def note(self, words: str) -> None:
        if words not in self._noted:
            self.say(f"note: {words}")
            self._noted.add(words)

    def announce(self, words: str) -> None:
        """A line before the first step; where an error comes before it, that alone is said."""
        self._announced.append(words)

    def how_to_resume(self, folder: Path) -> str:
        return f"go on with: impasto resume {shlex.quote(str(folder))}"

    def say(self, words: str) -> None:
        """A line for the user, who may have closed the terminal."""
        with contextlib.suppress(OSError):
            self.console.print(words, markup=False, highlight=False, soft_wrap=True)
