"""What a painted picture says of where it comes from: names of files, and how far it was painted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from impasto.images.catalogue import printable

LONGEST_NAME, MOST_PAINTINGS = 120, 20  # characters; together a part of what a JPEG holds beside settings
MOST = 10**9  # evaluations that are believed


@dataclass(frozen=True)
class Origin:
    """From what a picture was painted, and how far.

    Attributes:
        photograph: the name of its file, without its folder; empty where there was none.
        paintings: likewise.
        evaluations: of the objective that were done.
        planned: at most; fewer are no sign of a stop, since a scale ends once little is gained.
        stopped: before its end.
    """

    photograph: str = ""
    paintings: tuple[str, ...] = ()
    evaluations: int = 0
    planned: int = 0
    stopped: bool = False

    @classmethod
    def of(
        cls, photograph: Path | None, paintings: Sequence[Path], step: int, steps: int, *, stopped: bool = False
    ) -> Origin:
        """That of a run; a texture has no photograph."""
        names = tuple(map(_name, paintings[:MOST_PAINTINGS]))
        return cls(_name(photograph) if photograph else "", names, step, steps, stopped)

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | None) -> Origin | None:
        """What a picture says; None where it says nothing, or nonsense: a file is not trusted."""
        try:
            found = json.loads(text or "null")
            names = [_name_in(name) for name in found["paintings"][:MOST_PAINTINGS]]
            done, planned = (_number_in(found[name]) for name in ("evaluations", "planned"))
            return cls(_name_in(found["photograph"]), tuple(names), done, planned, found["stopped"] is True)
        except (ValueError, TypeError, LookupError, RecursionError):
            return None


def _name(path: Path) -> str:
    return printable(path.name or path.absolute().name)[:LONGEST_NAME]


def _name_in(value: Any) -> str:
    """A name without what could be a folder, or move a terminal's cursor."""
    if not isinstance(value, str):
        raise TypeError(value)
    return printable(value.replace("\\", "/").rpartition("/")[2])[:LONGEST_NAME]


def _number_in(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MOST:
        raise TypeError(value)
    return value
