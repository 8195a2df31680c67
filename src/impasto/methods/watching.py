"""A run that is watched: by a bar in a terminal, by the picture so far in a notebook, by a function, by a log."""

from __future__ import annotations

import base64
import io
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bar
from rich.table import Column
from rich.text import Text

if TYPE_CHECKING:
    from impasto.methods.progress import Progress

Watch: TypeAlias = "bool | Callable[[Progress], object]"
"""Who watches: nobody (False), whoever sits in front (True), or a function that is called with every step."""

LOG = logging.getLogger("impasto")
SHOWN_SIDE = 384  # px of the longer side of the picture in a notebook
PAUSE = 0.5  # seconds between two pictures there


def watched(steps: Iterator[Progress], watch: Watch) -> Iterator[Progress]:
    """The steps, seen by who watches; what a function raises ends the run."""
    if watch is True:
        yield from _in_notebook(steps) if "ZMQInteractiveShell" in type(_shell()).__name__ else _in_terminal(steps)
        return
    for now in steps:
        if callable(watch):
            watch(now)
        yield now


def logged(steps: Iterator[Progress]) -> Iterator[Progress]:
    """The steps, told to the logger "impasto": scales and notes at INFO, every step at DEBUG."""
    scale = 0
    for now in steps:
        for note in now.notes:
            LOG.info("%s", note)
        if now.scale != scale:
            LOG.info("scale %d of %d, %s", now.scale, now.scales, size_of(now))
            scale = now.scale
        if LOG.isEnabledFor(logging.DEBUG):
            losses = " ".join(f"{name}={loss:.4g}" for name, loss in now.losses.items())
            LOG.debug("step %d of %d, %s", now.step, now.steps, losses)
        yield now


def _in_terminal(steps: Iterator[Progress]) -> Iterator[Progress]:
    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("reading", total=None)
        for now in steps:
            update(bar, task, now)
            yield now


def _in_notebook(steps: Iterator[Progress]) -> Iterator[Progress]:
    from IPython.display import HTML, display  # type: ignore[import-not-found, unused-ignore]

    shown: Any = display(HTML("reading"), display_id=True)  # type: ignore[no-untyped-call, unused-ignore]
    last, now = 0.0, None
    for now in steps:
        if time.monotonic() - last > PAUSE:
            shown.update(HTML(as_html(now)))  # type: ignore[no-untyped-call, unused-ignore]
            last = time.monotonic()
        yield now
    if now is not None:
        shown.update(HTML(as_html(now)))  # type: ignore[no-untyped-call, unused-ignore]


def as_html(now: Progress) -> str:
    """A bar above the picture so far, small."""
    picture, buffer = now.picture, io.BytesIO()
    picture.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    picture.save(buffer, "JPEG", quality=85)
    source = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
    left = "" if now.seconds_left is None else f", {duration(now.seconds_left)} left"
    words = f"{size_of(now)} ({now.scale}/{now.scales}), {now.done:.0%}{left}"
    return f'<progress value="{now.done:.3f}"></progress> {words}<br><img src="{source}" alt="the picture so far">'


def _shell() -> Any:
    """IPython's, if it runs us."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module else None


def progress_bar(console: Console) -> Bar:
    """A bar for `update`; nothing where the console is no terminal."""
    roomy = console.width >= 100
    columns: tuple[ProgressColumn, ...] = (
        SpinnerColumn("dots", finished_text=" "),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24 if roomy else 12, complete_style="cyan", finished_style="cyan", pulse_style="dim"),
        Share(),
        Losses(("content", "style", "total") if roomy else ("content", "style")),
        TimeLeft(),
    )
    return Bar(*columns, console=console, transient=True, disable=not console.is_terminal, refresh_per_second=8)


class Share(ProgressColumn):
    """Of the work that is done: a scale may end early, so evaluations would leap."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.percentage:3.0f} %" if task.total else "")


class Losses(ProgressColumn):
    """Some terms of the objective."""

    def __init__(self, terms: Sequence[str]) -> None:
        super().__init__(Column(no_wrap=True))
        self.terms = terms

    def render(self, task: Task) -> Text:
        now = task.fields.get("now")
        losses = now.losses if now else {}
        return Text("  ".join(f"{name} {losses[name]:.2g}" for name in self.terms if name in losses), style="dim")


class TimeLeft(ProgressColumn):
    """The estimate of time left, in the unit that matters."""

    def render(self, task: Task) -> Text:
        now = task.fields.get("now")
        left = now.seconds_left if now else None
        return Text("" if left is None else f"{duration(left)} left", style="cyan")


def duration(seconds: float) -> str:
    """'45 s', '3 min 20 s', '2 h 5 min'."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, seconds = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    return f"{minutes // 60} h {minutes % 60} min"


def update(bar: Bar, task: TaskID, now: Progress) -> None:
    """Show a step on a bar."""
    where = f"{size_of(now)} ({now.scale}/{now.scales})"
    bar.update(task, description=where, completed=now.done, total=1, now=now)


def size_of(now: Progress) -> str:
    """Width and height in words."""
    height, width = now.image.shape[-2:]
    return f"{width}×{height}"
