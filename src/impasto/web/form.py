"""From `Settings` to controls, and from what a visitor gave back to `Settings`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from typing import Any

from impasto.errors import ImpastoError, SettingsError
from impasto.images.areas import AREAS
from impasto.methods.learnt import USED
from impasto.methods.qualities import METHODS
from impasto.network.finders import FINDERS, check_finder
from impasto.settings import INITS, PRESETS, QUALITIES, TEXTURE_SETTINGS, Settings, parse

# Texts that visitors may write. Any other text without choices might name a file of the server, and is not theirs.
TEXTS = ("content_layers", "style_layers")
# Where to start may be a file too; visitors choose among the words.
WORDS = {"init": INITS}
FRONT = ("strength", "style_scale", "color", "keep_lines", "size", "quality")
NO_FILM = ("init", "seed", "evaluations")  # a film's frames begin with the last one, and have numbers of their own
LARGEST = {"evaluations": 500}  # for visitors, who share a machine: as many as the longest quality takes
NO_LOOK = ("quality", "size", "seed")  # a look is of one size, at once
FILM_QUALITIES = tuple(name for name in QUALITIES if name != "reference")
PER_PAINTING = ("style_weight",)  # asked for beside the paintings
LABELS = {"style_scale": "Stroke size", "color": "Colours"}
# For people at a page; the command line's help names options.
HELPS = {
    "strength": "How far it goes from the photograph",
    "style_scale": "How broad the painting's strokes are",
    "color": "Whose colours the picture has",
    "keep_lines": "How firmly faces and houses stay",
    "quality": "How much work goes into the picture",
    "size": "Longer side of the picture, in pixels",
    "strokes": "Of two paintings: the forms of one, painted with the strokes of the other",
    "seed": "Another number, another beginning; only a start from noise has one",
    "init": "What the picture starts from",
    "evaluations": "How often the picture is corrected at most; 0 for as often as the quality has it",
}
CHOICE_LABELS = {
    "color": {
        "painting": "The painting's colours",
        "photo": "The photograph's colours, painted in lightness",
        "match": "The photograph's colours, matched smoothly",
        "histogram": "The photograph's colours, matched exactly",
        "lab": "The photograph's colours, given back afterwards",
    },
    "init": {"content": "The photograph", "noise": "Noise"},
    "strokes": {
        "all": "All of every painting",
        "coarse,fine": "Forms of the 1st, strokes of the 2nd",
        "fine,coarse": "Strokes of the 1st, forms of the 2nd",
    },
}
QUALITY_HELPS = {
    "instant": "A first idea, at once",
    "draft": "A sketch to decide with",
    "good": "A picture to show",
    "best": "A picture to print",
    "reference": "As the paper of 2016 does it, to compare",
}

AREA_HELPS = {
    "faces": ("faces", f"Found, and kept a likeness: {AREAS['faces']} % of the photograph."),
    "subject": ("the subject", "Found, and left as it is; the rest is painted."),
}


@dataclass(frozen=True)
class Control:
    """One setting as a visitor sees it."""

    name: str
    label: str
    help: str
    default: Any
    type: str  # int, float, str or bool
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    choice_labels: Mapping[str, str]
    several: bool
    front: bool
    shown: str  # how a page asks for it: slider, number, choice, switch, text, or beside (the paintings)
    allowed: str  # the command line's help sentence and what may be given
    texture: bool  # it has a meaning for a texture,
    film: bool  # for a film,
    look: bool  # an instant picture shows it,
    network: bool  # and it has one where a network paints


def controls(kind: str = "painting") -> list[Control]:
    """What visitors may set: all of `Settings` but what is the server's own, those in front first.

    Args:
        kind: of what is painted: a painting, a texture or a film.
    """
    every = [_control(f) for f in fields(Settings) if _is_theirs(f)]
    some = [control for control in every if kind == "painting" or getattr(control, kind)]
    return sorted(some, key=lambda c: FRONT.index(c.name) if c.front else len(FRONT))


def settings_from(
    values: Mapping[str, Any], *, kind: str = "painting", device: str = "auto", largest: int | None = None
) -> Settings:
    """Settings from what a visitor gave; texts are read as the command line reads them, nothing given is the default.

    Args:
        values: by the names of `controls`,
        kind: of what is painted.
        device: where the server computes.
        largest: longer side that a visitor may ask for, in pixels.

    Raises:
        SettingsError: a name or a value that is not allowed.
    """
    known = {control.name: control for control in controls(kind)}
    given = {}
    for name, value in values.items():
        if name not in known:
            raise SettingsError(f"there is no setting {name!r} here; choose from: {', '.join(known)}")
        if value is not None and value != "":
            given[name] = _read(known[name], value)
    for name, most in LARGEST.items():
        value = given.get(name)
        if isinstance(value, int | float) and value > most:
            raise SettingsError(f"{name}={value} is out of range: this studio takes up to {most}")
    size = given.get("size")
    if largest is not None and isinstance(size, int) and size > largest:
        raise SettingsError(f"size={size} is out of range: this studio paints up to {largest} px")
    try:
        return Settings(**given, device=device)
    except SettingsError as error:  # whose greatest size is not the studio's
        raise SettingsError(str(error).replace(f"to {known['size'].maximum:g} or", f"to {largest} or")) from None


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
    front, labels = f.name in FRONT, CHOICE_LABELS.get(f.name, {})
    most = LARGEST.get(f.name, data["maximum"])
    return Control(
        name=f.name,
        label=label,
        help=HELPS.get(f.name, help),
        default=f.default,
        type=type(f.default).__name__,
        minimum=data["minimum"],
        maximum=most,
        choices=tuple(choices),
        choice_labels=labels,
        several=data["several"],
        front=front,
        shown=_shown(f, front, bool(choices)),
        allowed=_allowed(help, data["minimum"], most, tuple(choices)),
        texture=f.name in TEXTURE_SETTINGS,
        film=f.name not in NO_FILM,
        look=f.name not in (*METHODS["instant"].ignores, *NO_LOOK),
        network=f.name in USED,
    )


def _shown(f: Field[Any], front: bool, has_choices: bool) -> str:
    if f.name in PER_PAINTING:
        return "beside"
    if f.type == "bool" or isinstance(f.default, bool):
        return "switch"
    if f.name == "size" or has_choices:
        return "choice"
    if isinstance(f.default, int | float):
        return "slider" if front else "number"
    return "text"


def _allowed(help: str, low: float | None, high: float | None, choices: tuple[str, ...]) -> str:
    limits = [] if low is None else [f"{low:g} to {high:g}" if high is not None else f"{low:g} or more"]
    return f"{help} ({', '.join([*limits, *choices])})" if limits or choices else help


def qualities(seconds: Mapping[str, float]) -> list[dict[str, Any]]:
    """The qualities with a sentence, the seconds that 512 px take, and whether they make textures and films."""
    return [
        {
            "name": name,
            "help": QUALITY_HELPS.get(name, quality.help[0].upper() + quality.help[1:]),
            "seconds": seconds.get(name),
            "texture": quality.textures,
            "film": name in FILM_QUALITIES,
        }
        for name, quality in QUALITIES.items()
    ]


def areas() -> dict[str, dict[str, str]]:
    """The areas that can be found, by name: what a page calls each, what becomes of it, and what is missing for it."""
    return {
        name: {"label": label, "help": help, "missing": missing_for(name)} for name, (label, help) in AREA_HELPS.items()
    }


def missing_for(area: str) -> str:
    """What to install for an area to be found, a sentence that names no paths of this machine; "" if all is there."""
    try:
        check_finder(area)
    except ImpastoError:
        label, _ = AREA_HELPS[area]
        return f"To find {label}, install: pip install 'impasto[people]' and {FINDERS[area].source}."
    return ""


def presets() -> list[dict[str, Any]]:
    """The presets with what they set."""
    return [{"name": name, "help": one.help, "settings": dict(one.settings)} for name, one in PRESETS.items()]


def _read(control: Control, value: Any) -> Any:
    """A value as `Settings` wants it: texts as the command line reads them, JSON's own kinds as they are."""
    if control.name in WORDS and value not in control.choices:
        raise SettingsError(f"{control.name}={value!r} is not allowed: choose from: {', '.join(control.choices)}")
    return parse(control.name, value) if isinstance(value, str) else value
