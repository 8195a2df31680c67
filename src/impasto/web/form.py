"""From `Settings` to controls, and from what a visitor gave back to `Settings`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from typing import Any

from impasto.errors import SettingsError
from impasto.settings import INITS, Settings

# Texts that visitors may write. Any other text without choices might name a file of the server, and is not theirs.
TEXTS = ("content_layers", "style_layers")
# Where to start may be a file too; visitors choose among the words.
WORDS = {"init": INITS}
FRONT = ("strength", "style_scale", "color", "keep_lines", "quality", "size")
PER_PAINTING = ("style_weight",)  # asked for beside the paintings
LABELS = {"style_scale": "Stroke size", "color": "Colours"}
SIZES = (256, 512, 768, 1024, 1536, 2048, 3072, 4096)


@dataclass(frozen=True)
class Control:
    """One setting as a visitor sees it."""

    name: str
    label: str
    help: str
    default: Any
    kind: type
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    several: bool
    front: bool

    @property
    def allowed(self) -> str:
        """The help sentence and what may be given."""
        low, high = self.minimum, self.maximum
        limits = [] if low is None else [f"{low:g} to {high:g}" if high is not None else f"{low:g} or more"]
        return f"{self.help} ({', '.join([*limits, *self.choices])})" if limits or self.choices else self.help


def controls() -> list[Control]:
    """What visitors may set: all of `Settings` but what is the server's own, those in front first."""
    every = [_control(f) for f in fields(Settings) if _is_theirs(f)]
    return sorted(every, key=lambda c: FRONT.index(c.name) if c.front else len(FRONT))


def settings_from(values: Mapping[str, Any], *, device: str = "auto", largest: int | None = None) -> Settings:
    """Settings from what a visitor gave; texts are read as the command line reads them, nothing given is the default.

    Args:
        values: by the names of `controls`.
        device: where the server computes.
        largest: longer side that a visitor may ask for, in pixels.

    Raises:
        SettingsError: a name or a value that is not allowed.
    """
    known = {control.name: control for control in controls()}
    given = {}
    for name, value in values.items():
        if name not in known:
            raise SettingsError(f"there is no setting {name!r} here; choose from: {', '.join(known)}")
        if value is not None and value != "":
            given[name] = _read(known[name], value)
    settings = Settings(**given, device=device)
    if largest is not None and (settings.longer_side or 0) > largest:
        raise SettingsError(f"size={settings.size} is out of range: this studio paints up to {largest} px")
    return settings


def _is_theirs(f: Field[Any]) -> bool:
    if f.metadata["machine"]:
        return False
    free_text = isinstance(f.default, str) and not f.metadata["choices"]
    return not free_text or f.name in TEXTS or f.name in WORDS


def _control(f: Field[Any]) -> Control:
    data = f.metadata
    choices = WORDS.get(f.name, data["choices"])
    label = LABELS.get(f.name, f.name.replace("_", " ").capitalize())
    help = data["help"][0].upper() + data["help"][1:]
    limits = data["minimum"], data["maximum"]
    return Control(
        f.name, label, help, f.default, type(f.default), *limits, tuple(choices), data["several"], f.name in FRONT
    )


def _read(control: Control, value: Any) -> Any:
    """A value as `Settings` wants it. What cannot be read stays as it is: `Settings` says what is allowed."""
    if control.name in WORDS and value not in control.choices:
        raise SettingsError(f"{control.name}={value!r} is not allowed: choose from: {', '.join(control.choices)}")
    if control.kind is bool:
        return {"true": True, "false": False, "1": True, "0": False}.get(str(value).lower(), value)
    if control.several and (isinstance(value, list | tuple) or "," in str(value)):
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(_number(control.kind, part) for part in parts if str(part).strip())
    return _number(control.kind, value) if control.kind in (int, float) else str(value)


def _number(kind: type, value: Any) -> Any:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return value
    return int(number) if kind is int and number.is_integer() else number
