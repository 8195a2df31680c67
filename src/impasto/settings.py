"""Every setting: its default, range, choices and help sentence, written once.

The command line, the web form, the reference and the error texts all derive from `Settings`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from impasto.errors import SettingsError


@dataclass(frozen=True)
class Quality:
    """How much work goes into a picture: objective evaluations per scale, coarsest first, the last at full size."""

    help: str


QUALITIES = {
    "draft": Quality("a first look"),
    "good": Quality("the default"),
    "best": Quality("when it is to hang on a wall"),
    "reference": Quality("the procedure of Gatys et al. (2016): one scale, 500 evaluations, the paper's weights"),
}


def option(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A field of `Settings`: numbers lie in [minimum, maximum]; `choices` are the words allowed."""
    return field(default=default, metadata={"help": help, "minimum": minimum, "maximum": maximum, "choices": choices})


@dataclass(frozen=True)
class Settings:
    """How to paint; the defaults give a good picture. Immutable: change a copy with `dataclasses.replace`.

    Raises:
        SettingsError: a value of the wrong type, out of range or not among the choices.
    """

    size: int | str = option(
        512,
        "longer side of the output in pixels, or 'full' for the photograph's own size",
        minimum=16,
        maximum=65536,
        choices=("full",),
    )
    quality: str = option("good", "how much work goes into the picture", choices=tuple(QUALITIES))
    strength: float = option(
        50.0,
        "how strongly it is painted: 0 is the photograph, 100 nearly the painting's texture",
        minimum=0,
        maximum=100,
    )
    style_scale: float = option(
        1.0, "size of the painting's strokes: 2 paints them twice as broad, 0.5 half", minimum=0.05, maximum=20
    )
    seed: int = option(0, "start of the random numbers; the same seed paints the same picture", minimum=0)
    device: str = option("auto", "where to compute", choices=("auto", "cpu", "cuda", "mps"))
    init: str = option(
        "content",
        "where the optimisation starts: the photograph, noise, or the path of a picture",
    )

    def __post_init__(self) -> None:
        for f in fields(self):
            _check(f.name, getattr(self, f.name), f.metadata, type(f.default))

    def to_json(self) -> str:
        """The settings as text, to be kept inside a painted picture."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """The settings that `to_json` wrote; names that this version does not know are an error."""
        return cls.of(json.loads(text))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Settings:
        """Settings from names and values, unknown names refused with the list of those that exist."""
        known = [f.name for f in fields(cls)]
        for name in values:
            if name not in known:
                raise SettingsError(f"there is no setting {name!r}; choose from: {', '.join(known)}")
        return cls(**values)


def _check(name: str, value: Any, metadata: Mapping[str, Any], kind: type) -> None:
    low, high, choices = metadata["minimum"], metadata["maximum"], metadata["choices"]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind in (int, float) and number and (kind is float or value == int(value)):
        if (low is not None and not value >= low) or (high is not None and not value <= high):
            raise SettingsError(f"{name}={value} is out of range: {_allowed(metadata, kind)}")
    elif (choices and value not in choices) or (not choices and not isinstance(value, kind)):
        raise SettingsError(f"{name}={value!r} is not allowed: {_allowed(metadata, kind)}")


def _allowed(metadata: Mapping[str, Any], kind: type) -> str:
    """What a setting may be, as words for an error: 'a whole number from 16 to 65536, or full'."""
    low, high, choices = metadata["minimum"], metadata["maximum"], metadata["choices"]
    if kind is str:
        return "choose from: " + ", ".join(choices) if choices else "a text"
    number = "a whole number" if kind is int else "a number"
    limits = f" from {low:g} to {high:g}" if high is not None else f" of {low:g} or more" if low is not None else ""
    return " or ".join(["choose " + number + limits, *choices])
