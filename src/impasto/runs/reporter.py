"""Who a run tells how it goes, and asks whether to go on: a terminal, a page, a program, or nobody."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # torch would be loaded for an answer that needs none
    from impasto.methods.progress import Progress


class Next(Enum):
    """What a run does after a step."""

    STEP = "step"  # the next one
    STOP = "stop"  # end: the picture so far is written, and where it stands is saved
    SUSPEND = "suspend"  # end soon: where it stands is saved, and a picture written only where that cannot be


class Reporter(Protocol):
    """Sees a run. What it raises ends the run like any error: nothing is lost by it."""

    def step(self, now: Progress) -> Next:
        """A step was made."""
        ...

    def note(self, words: str) -> None:
        """Something the user should know that is no reason to stop."""
        ...

    def how_to_resume(self, folder: Path) -> str:
        """A sentence for the user: how to go on from a checkpoint."""
        ...


class Silent:
    """Tells nobody, and never stops."""

    def step(self, now: Progress) -> Next:
        return Next.STEP

    def note(self, words: str) -> None:
        pass

    def how_to_resume(self, folder: Path) -> str:
        return f"its checkpoint is in {folder}"
